// The few things that every part of the page needs of the DOM and the browser's storage.

// byId finds one of the page's own elements: a missing one is a mistake in index.html and shows at once.
export function byId(id) {
  const element = document.getElementById(id);
  if (!element) throw new Error(`no element #${id}`);
  return element;
}

// make builds an element. Children are elements or text: a string can only become a text node here, so nothing that
// came over the network can become markup.
export function make(tag, className, ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children);
  return element;
}

// copy puts a text on the clipboard and says so on the button. Without a secure context there is no clipboard of its own, and
// the old way does it.
export async function copy(button, text) {
  let done = true;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = make("textarea", "offscreen");
    area.value = text;
    document.body.append(area);
    area.select();
    done = document.execCommand("copy");
    area.remove();
    button.focus();
  }
  const label = button.textContent;
  if (label === "Copied") return;
  button.textContent = done ? "Copied" : "Not copied";
  setTimeout(() => {
    button.textContent = label;
  }, 1500);
}

// store keeps strings under the page's own prefix. A browser that forbids storage only forgets: nothing fails.
function store(area) {
  const prefix = "sse-gateway:";
  return {
    get(key) {
      try {
        return window[area].getItem(prefix + key) ?? "";
      } catch {
        return "";
      }
    },
    set(key, value) {
      try {
        if (value) window[area].setItem(prefix + key, value);
        else window[area].removeItem(prefix + key);
      } catch {
        // Forbidden or full.
      }
    },
  };
}

export const forTab = store("sessionStorage");
export const forBrowser = store("localStorage");

// hue gives a name one of eight colours, always the same one: chips and rows of a topic belong together at a glance.
export function hue(name) {
  let hash = 7;
  for (const char of name) hash = (hash * 31 + char.codePointAt(0)) >>> 0;
  return String(hash % 8);
}

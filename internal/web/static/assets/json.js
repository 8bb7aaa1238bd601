// JSON as it was sent. JSON.parse alone would round numbers beyond 2^53 and so show what nobody published; so values
// are shown from their own text, cut into tokens. No function here recurses: nesting is the sender's choice.

import { make } from "./dom.js";

// Beyond these, indentation helps nobody, and at thousands of levels it would be most of the page's memory.
const maxPretty = 16_384; // characters
const maxDepth = 24;
const oneLine = 64; // characters that stay on one line

const tokens = /"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\],:]|[^\s{}[\],:"]+/g;

// memberText returns the text of a member of a valid JSON object, null when there is none. The last one wins, as it
// does for JSON.parse.
export function memberText(text, name) {
  let depth = 0;
  let key = null; // of the member that the scan is in
  let start = 0; // of its value
  let found = null;
  let previous = "";
  for (const match of text.matchAll(tokens)) {
    const token = match[0];
    if (token === "}" || token === "]") depth--;
    if ((depth === 1 && token === ",") || depth === 0) {
      if (key === name) found = text.slice(start, match.index).trim();
      key = null;
    }
    if (depth === 1 && token === ":" && key === null) {
      key = JSON.parse(previous);
      start = match.index + 1;
    }
    if (token === "{" || token === "[") depth++;
    previous = token;
  }
  return found;
}

// showJSON appends a valid JSON text to an element: indented and lightly coloured, or as it is when it is huge.
export function showJSON(element, text) {
  const list = text.length <= maxPretty ? text.match(tokens) : null;
  if (!list || depthOf(list) > maxDepth) {
    element.append(text);
    return;
  }
  const newline = text.length > oneLine ? (depth) => "\n" + "  ".repeat(depth) : () => "";
  let depth = 0;
  let plain = ""; // gathers punctuation, so that it costs one text node and not one each
  list.forEach((token, i) => {
    const next = list[i + 1];
    if (token === "{" || token === "[") {
      depth++;
      plain += token + (next === "}" || next === "]" ? "" : newline(depth));
    } else if (token === "}" || token === "]") {
      depth--;
      const empty = list[i - 1] === "{" || list[i - 1] === "[";
      plain += (empty ? "" : newline(depth)) + token;
    } else if (token === ",") {
      plain += "," + (newline(depth) || " ");
    } else if (token === ":") {
      plain += ": ";
    } else {
      element.append(plain, make("span", classOf(token, next), token));
      plain = "";
    }
  });
  element.append(plain);
}

// isStructured reports whether a text is JSON and more than a string; isCompound, whether it is an object or an array.
export function isStructured(text) {
  const trimmed = text.trim();
  if (!trimmed || trimmed.startsWith('"')) return false;
  try {
    JSON.parse(trimmed);
    return true;
  } catch {
    return false;
  }
}

export function isCompound(text) {
  return /^\s*[[{]/.test(text);
}

function depthOf(list) {
  let depth = 0;
  let deepest = 0;
  for (const token of list) {
    if (token === "{" || token === "[") deepest = Math.max(deepest, ++depth);
    else if (token === "}" || token === "]") depth--;
  }
  return deepest;
}

function classOf(token, next) {
  if (token.startsWith('"')) return next === ":" ? "json-key" : "json-string";
  return /^[-\d]/.test(token) ? "json-number" : "json-word";
}

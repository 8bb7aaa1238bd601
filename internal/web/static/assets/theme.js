// A theme that was chosen has to hold before the first paint, or a dark page flashes white: so this is a classic
// script in the head, and the only one. Without a choice the style sheet follows the system.
"use strict";
try {
  const theme = localStorage.getItem("sse-gateway:theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // Storage may be forbidden: the system's theme it is.
}

// A model that answers any prompt with the same tokens each time, 50 a second.
import { setTimeout as sleep } from "node:timers/promises";

const words = ["Stream", " in", " order", ",", " né", " 漢字", " 👩‍👩‍👧", "\n\n", " \"quoted\"", " <b>&amp;", " data: x", "\u2028", " end", "."];

/** Yields the tokens of the answer to a prompt, until signal is aborted. */
export async function* answer(prompt, tokens, signal, pause = 20) {
  let seed = 1;
  for (const character of prompt) seed = (seed * 31 + character.codePointAt(0)) >>> 0;
  for (let n = 0; n < tokens && !signal.aborted; n++) {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    yield words[(seed >>> 16) % words.length];
    await sleep(pause, undefined, { signal }).catch(() => {}); // aborted: the loop ends
  }
}

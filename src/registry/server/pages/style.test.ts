import assert from "node:assert/strict";
import { test } from "node:test";
import { style } from "./style.ts";

/** WCAG 2.2, relative luminance. */
function luminance(color: string): number {
  const digits = color.slice(1);
  const full = digits.length === 3 ? digits.replace(/./g, "$&$&") : digits;
  const [red, green, blue] = [0, 2, 4].map((at) => {
    const part = Number.parseInt(full.slice(at, at + 2), 16) / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  }) as [number, number, number];
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

test("text can be read by light and in the dark (WCAG 2.2, 1.4.3: a contrast of 4.5)", () => {
  const palettes = [...style.matchAll(/:root\{([^}]*)\}/g)].map(
    ([, text]) => new Map([...text!.matchAll(/--(\w+):(#\w+)/g)].map(([, name, color]) => [name!, color!])),
  );
  assert.equal(palettes.length, 2);
  for (const palette of palettes) {
    for (const text of ["text", "soft", "link"]) {
      for (const ground of ["ground", "card", "mark"]) {
        const both = [luminance(palette.get(text)!), luminance(palette.get(ground)!)];
        const contrast = (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05);
        assert.ok(contrast >= 4.5, `${text} on ${ground}: ${contrast}`);
      }
    }
  }
});

// Colours and glyphs, where the terminal wants them.

export interface Style {
  bold(text: string): string;
  dim(text: string): string;
  good(text: string): string;
  bad(text: string): string;
  warn(text: string): string;
}

const ESC = String.fromCharCode(27);
const paint =
  (code: string) =>
  (text: string): string =>
    `${ESC}[${code}m${text}${ESC}[0m`;
const plain = (text: string): string => text;

/** Colour on a terminal, unless NO_COLOR is set or `colour` says no. */
export function styleFor(stream: { isTTY?: boolean }, colour: boolean | undefined): Style {
  const wanted = colour ?? (stream.isTTY === true && !process.env.NO_COLOR);
  if (!wanted) return { bold: plain, dim: plain, good: plain, bad: plain, warn: plain };
  return {
    bold: paint('1'),
    dim: paint('2'),
    good: paint('32'),
    bad: paint('31'),
    warn: paint('33'),
  };
}

/** 12,345 */
export function count(n: number): string {
  return n.toLocaleString('en-US');
}

/** What is left of a text when control characters, which a log may hold, are made visible. */
export function printable(text: string): string {
  return text.replace(
    /[\u0000-\u001f\u007f-\u009f]/g,
    (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
}

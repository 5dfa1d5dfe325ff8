/**
 * A path or link target for people: UTF-8 where it is valid, each other byte and each control character as `\xNN`, so
 * that a name cannot write to a terminal or break a log line. A backslash of the name stays as it is.
 * @param bytes one char per byte (latin1)
 */
export function displayPath(bytes: string): string {
  // almost all names are plain
  if (/^[\x20-\x7e]*$/.test(bytes)) return bytes;
  return bytes.replace(SEQUENCE, (sequence) => readable(sequence) ?? escaped(sequence));
}

/** The path of an entry for people; the root has none. */
export function displayEntry(path: string): string {
  return path === '' ? 'the top directory' : displayPath(path);
}

/** What may be one character in UTF-8 (its lead byte and as many more as that asks for), else one byte. */
const SEQUENCE = /[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}|[\s\S]/g;

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function readable(sequence: string): string | undefined {
  try {
    const character = decoder.decode(Buffer.from(sequence, 'latin1'));
    // controls, and characters that turn the direction of what follows or show nothing
    return /[\p{Cc}\p{Cf}\u2028\u2029]/u.test(character) ? undefined : character;
  } catch {
    return undefined;
  }
}

function escaped(sequence: string): string {
  return [...sequence].map((byte) => `\\x${byte.charCodeAt(0).toString(16).padStart(2, '0')}`).join('');
}

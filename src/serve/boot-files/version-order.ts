/**
 * Compares kernel versions as dpkg compares version numbers (Debian policy 5.6.12, without an epoch): runs of digits by
 * value, letters before other characters, `~` before everything, the end included. A release candidate, which kernel
 * names write as `-rc`, comes before its release.
 * @returns below 0 when `one` is lower, above 0 when it is higher, 0 when neither
 */
export function compareVersions(one: string, other: string): number {
  const [a, b] = [parts(one), parts(other)];
  for (let i = 0; i < Math.max(a.length, b.length); i++) {
    // words and numbers take turns, beginning with a word
    const result = i % 2 === 0 ? compareWords(a[i] ?? '', b[i] ?? '') : compareNumbers(a[i] ?? '', b[i] ?? '');
    if (result !== 0) return result;
  }
  return 0;
}

function parts(version: string): string[] {
  return version.replace(/-rc(?=\d)/g, '~rc').split(/(\d+)/);
}

function compareWords(one: string, other: string): number {
  for (let i = 0; i < Math.max(one.length, other.length); i++) {
    const result = weight(one.charAt(i)) - weight(other.charAt(i));
    if (result !== 0) return result;
  }
  return 0;
}

function weight(char: string): number {
  if (char === '') return 0;
  if (char === '~') return -1;
  return /[A-Za-z]/.test(char) ? char.charCodeAt(0) : char.charCodeAt(0) + 0x10000;
}

/** Of any length: a date and time in a version is beyond what a Number holds exactly. */
function compareNumbers(one: string, other: string): number {
  const [a, b] = [one.replace(/^0+/, ''), other.replace(/^0+/, '')];
  if (a.length !== b.length) return a.length - b.length;
  return a < b ? -1 : Number(a > b);
}

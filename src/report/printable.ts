/**
 * Text for a terminal: file and chroot names can hold control characters, with which they could write over what stands
 * there. Line ends become spaces.
 */
export function printable(text: string): string {
  return text.replace(/\r?\n/g, ' ').replace(/[\u0000-\u001f\u007f-\u009f]/g, '?');
}

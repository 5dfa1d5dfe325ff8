/** Colours and cursor movements (ECMA-48, CSI), and the kernel's time stamps. */
const NOISE = /\u001b\[[0-?]*[ -/]*[@-~]|\u001b[ -/]*[0-Z\\-~]|^\[ *\d+\.\d+\] /g;
/** What comes after the cause: registers and stack of a panic, and the way to the end of the machine. */
const AFTERMATH =
  /^(CPU|Hardware name|Call Trace|Kernel Offset|ACPI: PM|reboot): |^(Call Trace:|Rebooting |---\[ end )/;
const LINES = 4;

/** The last lines of a guest's console that say why it went no further, oldest first. */
export function lastWords(console: string): string[] {
  const lines = console.split(/\r?\n/).map((line) => line.replace(NOISE, '').trim());
  const shown = lines.filter((line) => line !== '');
  const panic = shown.findIndex((line) => line.startsWith('Kernel panic'));
  const told = panic === -1 ? shown : shown.slice(0, panic + 1);
  return told.filter((line) => !AFTERMATH.test(line)).slice(-LINES);
}

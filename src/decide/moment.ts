const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/**
 * A moment as a person says it, in the machine's time zone: `28 Nov 06:30`. By hand, since Intl takes longer to load
 * than a command should to start.
 * @param iso ISO 8601
 */
export function describeMoment(iso: string): string {
  const at = new Date(iso);
  const two = (value: number): string => String(value).padStart(2, '0');
  return `${at.getDate()} ${MONTHS[at.getMonth()] ?? '?'} ${two(at.getHours())}:${two(at.getMinutes())}`;
}

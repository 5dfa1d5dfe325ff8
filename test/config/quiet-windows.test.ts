import { expect, test } from 'vitest';
import { quietWindows } from '../../src/config/quiet-windows.ts';

test('windows are read with the days they begin on, in minutes since midnight', () => {
  expect(quietWindows(' Mon-Wed  8:00-16:30 ,Sat 22:00-06:00')).toEqual([
    { text: 'Mon-Wed 8:00-16:30', days: [1, 2, 3], from: 480, to: 990 },
    { text: 'Sat 22:00-06:00', days: [6], from: 1320, to: 360 },
  ]);
});

test.each([
  '8-16',
  'Mon-Fri',
  'Mon-Fri 08:00',
  'Montag 08:00-16:00',
  'Mox 08:00-16:00',
  'Mon-Fri 08:00-24:01',
  'Mon-Fri 08:60-16:00',
  'Mon-Fri 24:00-08:00',
  'Mon-Fri 08:00-08:00',
  'Mon, Tue 08:00-16:00',
  'Mon-Fri 08:00-16:00,',
  'Mon-Fri 08:00-16:00 17:00-18:00',
])('%s is refused', (text) => {
  expect(quietWindows(text)).toBeUndefined();
});

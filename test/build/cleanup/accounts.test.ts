import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type AccountFiles, commentsOnly, withoutPeople } from '../../../src/build/cleanup/accounts.ts';

const none: AccountFiles = { passwd: '', shadow: '', group: '', gshadow: '', subuid: '', subgid: '' };
const cleaned = (files: Partial<AccountFiles>): AccountFiles => withoutPeople({ ...none, ...files }).files;

const people = 'anna:x:1000:1000:Anna:/home/anna:/bin/bash\nben:x:60000:100::/home/ben:/bin/sh\n';
const system = 'root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534::/nonexistent:/usr/sbin/nologin\n';

describe('withoutPeople', () => {
  it.each([
    ['999', true],
    ['1000', false],
    ['60000', false],
    ['60001', true],
    ['0', true],
    ['65534', true],
    ['', true],
    ['1000x', true],
  ])('an account with the uid %j stays: %j', (uid, stays) => {
    const line = `it:x:${uid}:100::/home/it:/bin/sh\n`;
    expect(cleaned({ passwd: line }).passwd).toBe(stays ? line : '');
  });

  it('names the accounts it took out and those that stay', () => {
    const { removed, kept } = withoutPeople({ ...none, passwd: people + system });
    expect(removed.map(({ name, home }) => [name, home])).toEqual([
      ['anna', '/home/anna'],
      ['ben', '/home/ben'],
    ]);
    expect(kept.map(({ name }) => name)).toEqual(['root', 'nobody']);
  });

  const table: [string, Partial<AccountFiles>, Partial<AccountFiles>][] = [
    ['hashes', { shadow: 'root:*:1::::::\nanna:$6$salt$hash:1:0:9:7:::\n' }, { shadow: 'root:*:1::::::\n' }],
    ['subordinate ids by name', { subuid: 'anna:100000:65536\nsvc:2:3\n' }, { subuid: 'svc:2:3\n' }],
    ['subordinate ids by uid', { subgid: '1000:100000:65536\n998:1:1\n' }, { subgid: '998:1:1\n' }],
    ['memberships', { group: 'sudo:x:27:anna,root,ben\n' }, { group: 'sudo:x:27:root\n' }],
    ['a group of their own', { group: 'anna:x:1000:\n', gshadow: 'anna:!::\n' }, { group: '', gshadow: '' }],
    ['administrators of groups', { gshadow: 'sudo:*:anna,root:anna\n' }, { gshadow: 'sudo:*:root:\n' }],
  ];
  it.each(table)('takes out %s', (_, before, after) => {
    expect(cleaned({ passwd: people + system, ...before })).toMatchObject(after);
  });

  const staying: [string, Partial<AccountFiles>][] = [
    ['a group that people shared', { group: 'teachers:x:1005:\n' }],
    ['a group of the system with the name of a person', { group: 'ben:x:40:\n' }],
    ['members that the chroot knows nothing of', { group: 'audio:x:29:ldapuser\n' }],
    ['names that only begin alike', { shadow: 'annabel:*:1::::::\n', group: 'x:x:1:annabel\n' }],
    ['NIS lines, comments, empty lines, half lines', { shadow: '+::::::::\n# anna\n\nbroken\n', group: '+:::\n' }],
    ['a last line without an end', { shadow: 'root:*:1::::::' }],
    ['carriage returns and bytes of another encoding', { shadow: 'r\xfct:*:1::::::\r\n' }],
  ];
  it.each(staying)('leaves %s as they are', (_, before) => {
    expect(cleaned({ passwd: people + system, ...before })).toMatchObject(before);
  });

  it('keeps the hash of a system account when a person has the same name', () => {
    const files = { passwd: `anna:x:500:500::/:/bin/sh\n${people}`, shadow: 'anna:$6$x:1::::::\n' };
    expect(cleaned(files)).toMatchObject({ passwd: 'anna:x:500:500::/:/bin/sh\n', shadow: 'anna:$6$x:1::::::\n' });
  });

  it('keeps a group that a remaining account has as its own', () => {
    const files = { passwd: `${people}svc:x:990:1000::/:/bin/sh\n`, group: 'anna:x:1000:\n' };
    expect(cleaned(files).group).toBe('anna:x:1000:\n');
  });
});

const name = fc.stringMatching(/^[a-z]{1,3}$/);
const id = fc.integer({ min: 990, max: 1010 });
const lines = (line: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc
    .array(fc.oneof({ weight: 9, arbitrary: line }, fc.string({ unit: 'binary-ascii' })), { maxLength: 8 })
    .map((all) => all.join('\n'));
const members = fc.array(name, { maxLength: 4 }).map((all) => all.join(','));
const anyFiles: fc.Arbitrary<AccountFiles> = fc.record({
  passwd: lines(fc.tuple(name, id, id).map(([n, uid, gid]) => `${n}:x:${uid}:${gid}::/home/${n}:/bin/sh`)),
  shadow: lines(name.map((n) => `${n}:$6$hash:1::::::`)),
  group: lines(fc.tuple(name, id, members).map(([n, gid, m]) => `${n}:x:${gid}:${m}`)),
  gshadow: lines(fc.tuple(name, members, members).map(([n, a, m]) => `${n}:!:${a}:${m}`)),
  subuid: lines(fc.oneof(name, id.map(String)).map((n) => `${n}:100000:65536`)),
  subgid: lines(name.map((n) => `${n}:100000:65536`)),
});

describe('for any files withoutPeople', () => {
  it('leaves no account of a person, no hash, no membership and no range of one', () => {
    fc.assert(
      fc.property(anyFiles, (files) => {
        const { files: after, removed, kept } = withoutPeople(files);
        const gone = new Set(removed.map((account) => account.name));
        for (const account of kept) gone.delete(account.name);
        const fields = (text: string): string[][] => text.split('\n').map((line) => line.split(':'));
        expect(
          fields(after.passwd).filter(([n = '', , uid = '']) => n !== '' && !/^[+-]/.test(n) && /^1\d{3}$/.test(uid)),
        ).toEqual([]);
        for (const file of ['shadow', 'subuid', 'subgid'] as const) {
          expect(fields(after[file]).filter(([n = '']) => gone.has(n))).toEqual([]);
        }
        const inGroups = [...fields(after.group), ...fields(after.gshadow).flatMap((line) => [line, line.slice(0, 3)])];
        expect(inGroups.flatMap((line) => (line[3] ?? '').split(',')).filter((member) => gone.has(member))).toEqual([]);
      }),
    );
  });

  it('changes nothing the second time', () => {
    fc.assert(
      fc.property(anyFiles, (files) => {
        const { files: once } = withoutPeople(files);
        expect(withoutPeople(once)).toMatchObject({ files: once, removed: [] });
      }),
    );
  });

  it('leaves the lines of other accounts byte for byte and in their order', () => {
    fc.assert(
      fc.property(anyFiles, (files) => {
        const after = withoutPeople(files).files;
        const before = files.passwd.split('\n');
        let from = 0;
        for (const line of after.passwd.split('\n').filter(Boolean)) {
          const at = before.indexOf(line, from);
          expect(at).toBeGreaterThanOrEqual(from);
          from = at + 1;
        }
      }),
    );
  });
});

it('commentsOnly keeps comments and empty lines', () => {
  expect(commentsOnly('# a\n\n/dev/sda1 / ext4\n  # b\nUUID=1 /home ext4')).toBe('# a\n\n  # b\n');
});

import type { ImageFile } from './image-file.ts';
import { type Metadata, readIndexedTable, readMetadata } from './metadata.ts';
import { damaged } from './squashfs-error.ts';

/** An extended attribute: its full name (`user.x`), one char per byte, and its value. */
export type Xattr = { name: string; value: Buffer };

/** The lists of extended attributes that an image's inodes refer to. */
export type XattrLists = {
  count: number;
  /** @throws SquashfsError */
  list: (index: number) => Xattr[];
};

/** By the number that squashfs 4.0 has for them. */
export const XATTR_PREFIXES = ['user.', 'trusted.', 'security.'] as const;
/** In an attribute's type: the value stands elsewhere, since another attribute has the same. */
export const XATTR_ELSEWHERE = 0x100;

export const XATTR_ID_SIZE = 16;

/** What the kernel takes: XATTR_SIZE_MAX. */
const LONGEST_VALUE = 65_536;
const LIMIT = 256 * 1024 * 1024;

/** Nothing but the number of lists is read before the first one is asked for. */
export function readXattrs(image: ImageFile): XattrLists {
  const { xattrTable } = image.superblock;
  if (xattrTable === null) return { count: 0, list: () => [] };
  const header = image.read(xattrTable, 16);
  const start = Number(header.readBigUInt64LE(0));
  const count = header.readUInt32LE(8);
  if (start > xattrTable) throw damaged('its attributes are not where they can be');
  let tables: { ids: Buffer; values: Metadata } | undefined;
  return {
    count,
    list: (index) => {
      tables ??= loadTables(image, { header: xattrTable, start, count });
      return listAt(tables.ids, tables.values, index);
    },
  };
}

type Place = { header: number; start: number; count: number };

/** Attributes end where the blocks with the lists' places begin. */
function loadTables(image: ImageFile, { header, start, count }: Place): { ids: Buffer; values: Metadata } {
  const end = count === 0 ? header : Number(image.read(header + 16, 8).readBigUInt64LE(0));
  if (end < start || end > header) throw damaged('its attributes are not where they can be');
  return {
    ids: readIndexedTable(image, header + 16, count * XATTR_ID_SIZE),
    values: readMetadata(image, start, end, LIMIT),
  };
}

function listAt(ids: Buffer, values: Metadata, index: number): Xattr[] {
  const place = index * XATTR_ID_SIZE;
  if (place + XATTR_ID_SIZE > ids.length) throw damaged('an inode has attributes that are not there');
  const count = ids.readUInt32LE(place + 8);
  const { bytes } = values;
  let at = locate(values, ids.readBigUInt64LE(place));
  const list: Xattr[] = [];
  for (let i = 0; i < count; i++) {
    expect(bytes, at, 4);
    const type = bytes.readUInt16LE(at);
    const nameLength = bytes.readUInt16LE(at + 2);
    const prefix = XATTR_PREFIXES[type & 0xff];
    if (prefix === undefined || (type & ~(XATTR_ELSEWHERE | 0xff)) !== 0)
      throw damaged('an attribute has no known type');
    expect(bytes, at + 4, nameLength + 4);
    const name = prefix + bytes.toString('latin1', at + 4, at + 4 + nameLength);
    const valueAt = at + 4 + nameLength;
    const value = (type & XATTR_ELSEWHERE) === 0 ? inlineValue(bytes, valueAt) : valueElsewhere(values, valueAt);
    list.push({ name, value });
    at = valueAt + 4 + bytes.readUInt32LE(valueAt);
  }
  return list;
}

function valueElsewhere(values: Metadata, at: number): Buffer {
  const reference = inlineValue(values.bytes, at);
  if (reference.length !== 8) throw damaged('an attribute refers to nothing');
  return inlineValue(values.bytes, locate(values, reference.readBigUInt64LE(0)));
}

function inlineValue(bytes: Buffer, at: number): Buffer {
  expect(bytes, at, 4);
  const length = bytes.readUInt32LE(at);
  if (length > LONGEST_VALUE) throw damaged('an attribute has an absurd length');
  expect(bytes, at + 4, length);
  return bytes.subarray(at + 4, at + 4 + length);
}

function locate(values: Metadata, reference: bigint): number {
  return values.locate(Number(reference >> 16n), Number(reference & 0xffffn));
}

function expect(bytes: Buffer, at: number, length: number): void {
  if (at + length > bytes.length) throw damaged('an attribute goes beyond its table');
}

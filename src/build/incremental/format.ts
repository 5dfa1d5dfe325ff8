import { compressorOf } from '../../squashfs/compressor-options.ts';
import { compressorOptions, type ImageFile } from '../../squashfs/image-file.ts';
import { FLAGS } from '../../squashfs/superblock.ts';
import type { Compressor } from '../../system/compressors.ts';
import type { Compression } from '../compression.ts';
import { compressionName } from '../space.ts';

/** mksquashfs's own block size, which no option of ours changes. */
const BLOCK_SIZE = 131_072;

/** What we tell by: how compressor options and owners are stored is all the same to us. */
const COMPARED = ~(FLAGS.compressorOptions | FLAGS.uncompressedIds);

/**
 * Whether a full build would make an image of the same format now.
 * @returns null, or what is otherwise, in words
 * @throws SquashfsError 'unsupported' when the image has options that we can't write
 */
export function formatProblem(
  image: Pick<ImageFile, 'superblock' | 'optionsBlock'>,
  wanted: Compression,
): string | null {
  const { compressor: type, blockSize, flags } = image.superblock;
  const has = compressorOf(type, compressorOptions(image), blockSize);
  const should = compressorFor(wanted);
  const same = (Object.keys({ ...has, ...should }) as (keyof Compressor)[]).every((key) => has[key] === should[key]);
  if (!same || (flags & FLAGS.uncompressedData) !== (flagsFor(wanted) & FLAGS.uncompressedData)) {
    return `the former image is not compressed with ${compressionName(wanted)}`;
  }
  if (blockSize !== BLOCK_SIZE) return `the former image has blocks of ${blockSize} bytes`;
  if ((flags & COMPARED) !== flagsFor(wanted)) return 'the former image was made with other options';
  return null;
}

/** As mksquashfs has it from `-comp` and `-Xcompression-level`, or from neither. */
function compressorFor({ type, level }: Compression): Compressor {
  switch (type) {
    case 'none':
      return { type: 'gzip', level: 9, windowBits: 15 };
    case 'gzip':
      return { type, level: level === 0 ? 9 : level, windowBits: 15 };
    case 'zstd':
      return { type, level: level === 0 ? 15 : level };
    case 'lz4':
      return { type, speed: 'fast' };
    case 'xz':
      return { type, dictionarySize: BLOCK_SIZE };
    case 'lzo':
      return { type, algorithm: 'lzo1x_999', level: level === 0 ? 8 : level };
  }
}

/** As mksquashfs has them from nothing, or from `-noI -noD -noF -noX -no-exports`. */
function flagsFor({ type }: Compression): number {
  if (type !== 'none') return FLAGS.duplicates | FLAGS.exportable;
  const { uncompressedInodes, uncompressedData, uncompressedFragments, uncompressedXattrs, duplicates } = FLAGS;
  return uncompressedInodes | uncompressedData | uncompressedFragments | uncompressedXattrs | duplicates;
}

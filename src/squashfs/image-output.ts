import fs from 'node:fs';
import { UserError } from '../errors.ts';

/** The image that is being written, at its end. */
export type ImageOutput = {
  position: () => number;
  append: (bytes: Buffer) => void;
  /** Writes over what is there. */
  overwrite: (position: number, bytes: Buffer) => void;
  /** The file ends `bytes` from its start, with zeros where nothing was written. */
  finish: (bytes: number) => void;
};

/** @param start where to go on; what the file has behind it is dropped */
export function createImageOutput(fd: number, start: number): ImageOutput {
  let end = start;
  const output: ImageOutput = {
    position: () => end,
    append: (bytes) => {
      output.overwrite(end, bytes);
      end += bytes.length;
    },
    overwrite: (position, bytes) => {
      attempt(() => {
        for (let done = 0; done < bytes.length; ) {
          done += fs.writeSync(fd, bytes, done, bytes.length - done, position + done);
        }
      });
    },
    finish: (bytes) => attempt(() => fs.ftruncateSync(fd, bytes)),
  };
  output.finish(start);
  return output;
}

/** A full disk, most of all. */
function attempt(write: () => void): void {
  try {
    write();
  } catch (error) {
    throw new UserError('cannot write the image', { cause: error });
  }
}

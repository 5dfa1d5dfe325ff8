import { UserError } from '../errors.ts';

/**
 * What was wrong with an image, or with what should become one:
 * damaged: bytes that no squashfs has; unsupported: a version, compressor or option that we don't know or lack;
 * limit: more than the format can hold.
 */
export type SquashfsProblem = 'damaged' | 'unsupported' | 'limit';

/** The caller tells it apart: with any of these the image is to be built in full. */
export class SquashfsError extends UserError {
  override name = 'SquashfsError';
  readonly problem: SquashfsProblem;

  constructor(problem: SquashfsProblem, message: string, options?: ErrorOptions) {
    super(message, options);
    this.problem = problem;
  }
}

export function damaged(what: string, options?: ErrorOptions): SquashfsError {
  return new SquashfsError('damaged', `cannot read the image: ${what}`, options);
}

export function unsupported(what: string, options?: ErrorOptions): SquashfsError {
  return new SquashfsError('unsupported', `cannot read the image: ${what}`, options);
}

export function overLimit(what: string): SquashfsError {
  return new SquashfsError('limit', `cannot write the image: ${what}`);
}

import { UserError } from '../../errors.ts';

/** The check cannot be made here: a program or a device is missing. It says nothing about the image. */
export class CannotCheckError extends UserError {
  override name = 'CannotCheckError';
}

import { UserError } from '../../errors.ts';

/**
 * What went wrong between a client and an NBD server:
 * - `unreachable`: no connection (nothing listens, no route)
 * - `timeout`: it takes connections or requests, and does not answer
 * - `ended`: it closed the connection, or the connection broke
 * - `protocol`: what it says is not NBD's fixed newstyle negotiation
 * - `unknown`: it has no such export
 * - `refused`: it has it and does not serve it to us: not allowed, or its file is missing or unreadable
 * - `tls`: it wants TLS first
 * - `failed`: it could not read the data
 * - `stopped`: we were told to stop
 */
export type NbdTrouble =
  | 'unreachable'
  | 'timeout'
  | 'ended'
  | 'protocol'
  | 'unknown'
  | 'refused'
  | 'tls'
  | 'failed'
  | 'stopped';

/** An NBD server did not do what it was asked for; `trouble` says in what way. */
export class NbdError extends UserError {
  override name = 'NbdError';
  readonly trouble: NbdTrouble;

  constructor(trouble: NbdTrouble, message: string, options?: ErrorOptions) {
    super(message, options);
    this.trouble = trouble;
  }
}

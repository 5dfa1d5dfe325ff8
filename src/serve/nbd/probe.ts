import { type NbdAddress, NbdClient, type NbdOptions } from './client.ts';
import { NbdError, type NbdTrouble } from './nbd-error.ts';

/** How an export looks to a client: served, or why not, in words. */
export type ExportLook = { kind: 'served'; size: number } | { kind: NbdTrouble; why: string };

/** Opens an export once and closes it again, as a client does when it boots. */
export async function lookAtExport(address: NbdAddress, name: string, options: NbdOptions): Promise<ExportLook> {
  let client: NbdClient | undefined;
  try {
    client = await NbdClient.connect(address, options);
    const { size } = await client.open(name);
    return { kind: 'served', size };
  } catch (error) {
    if (error instanceof NbdError) return { kind: error.trouble, why: error.message };
    throw error;
  } finally {
    client?.close();
  }
}

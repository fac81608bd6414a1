/** How a status of a module is told. */
import { CoreError, expectOk } from '../src/status.ts';

/** The error for a status that is not "ok". */
export function refusal(status: number): CoreError {
  try {
    expectOk(status, 'read');
  } catch (error) {
    if (error instanceof CoreError) return error;
  }
  throw new Error(`status ${status} is no refusal`);
}

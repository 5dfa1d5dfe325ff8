/**
 * Keys whose feature this version does not have yet, each with the values that ask for nothing it lacks. A feature that
 * arrives deletes its line.
 */
export const notYet: Readonly<Record<string, readonly unknown[]>> = {
  page: [],
};

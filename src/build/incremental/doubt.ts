/**
 * Why an image can't be made from the former one, in words that follow on "built in full: ". It is no failure: it ends
 * the incremental builder, and another one takes over.
 */
export class Doubt extends Error {
  override name = 'Doubt';
}

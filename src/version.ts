/** Put in by the build (scripts/build.mjs); not there when the sources run as they are, as in a test. */
declare const __VERSION__: string | undefined;

/** The package's version as in package.json, or `source`. */
export const version: string = typeof __VERSION__ === 'string' ? __VERSION__ : 'source';

/** The same as in package.json (a test holds them together): reading that file would cost every start. */
export const version = "0.1.0";

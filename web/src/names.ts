// Names as the API compares and sorts them.

/** Without regard to the case of ASCII letters, and of no others. */
export const folded = (name: string): string => name.replace(/[A-Z]/g, (letter) => letter.toLowerCase());

/** Members of one name in one object of JSON: which of them counts is anybody's guess (RFC 8259 §4), and `JSON.parse` takes the last. */

/** A string, or what says where an object begins and ends, and that the string before it is a name. */
const TOKEN = /"[^"\\]*(?:\\.[^"\\]*)*"|[{}:]/g;

/** @param text JSON that has been parsed; @returns the first name that is there a second time; `undefined`: none is */
export function repeatedMember(text: string): string | undefined {
  const objects: Set<string>[] = [];
  let last = '';
  for (const [token] of text.matchAll(TOKEN)) {
    if (token === '{') objects.push(new Set());
    else if (token === '}') objects.pop();
    else if (token !== ':') last = token;
    else {
      const [name, names] = [JSON.parse(last) as string, objects.at(-1)!];
      if (names.has(name)) return name;
      names.add(name);
    }
  }
  return undefined;
}

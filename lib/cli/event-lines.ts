/** One line for each event on standard output: `time event name=value …`, or a JSON object. */

/** Fields that are `undefined` are left out. */
export type Print = (event: string, fields: Readonly<Record<string, string | number | undefined>>) => void;

/** Words as they are, anything else as a JSON string in ASCII: a line can be taken apart again, and is one line. */
function quoted(value: string | number): string {
  const text = String(value);
  if (/^[\w.:+/@=-]+$/.test(text)) return text;
  const escapeCharacter = (character: string) =>
    `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
  return JSON.stringify(text).replace(/[^ -~]/g, escapeCharacter);
}

function textLine(event: string, fields: Parameters<Print>[1]): string {
  const words = Object.entries(fields).flatMap(([name, value]) =>
    value === undefined ? [] : `${name}=${quoted(value)}`,
  );
  return [new Date().toISOString(), event, ...words].join(' ');
}

/** @param json a JSON object a line, with `time` and `event` */
export function eventPrinter(json: boolean): Print {
  return (event, fields) => {
    const line = json
      ? JSON.stringify({ time: new Date().toISOString(), event, ...fields })
      : textLine(event, fields);
    process.stdout.write(`${line}\n`);
  };
}

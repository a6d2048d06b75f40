/**
 * Fields of ours on objects of Node's: as fast as its own, and nobody who lists or inspects the object sees them. Each connection
 * gets some, and to define a property that is not enumerable takes V8 a microsecond.
 */

export interface HiddenField<Value> {
  /** @returns `undefined`: it was never set on that object */
  get(object: object): Value | undefined;
  set(object: object, value: Value): void;
}

/** What is constructed with it is what it is given; a class that derives from it adds its fields to that. */
function itself(object: object): object {
  return object;
}

const Bearer = itself as unknown as new (object: object) => object;

/** A field of its own, which only its owner can read. */
export function hiddenField<Value>(): HiddenField<Value> {
  class Field extends Bearer {
    #value: Value;

    constructor(object: object, value: Value) {
      super(object);
      this.#value = value;
    }

    static get(object: object): Value | undefined {
      return #value in object ? object.#value : undefined;
    }

    static set(object: object, value: Value): void {
      if (#value in object) object.#value = value;
      else new Field(object, value);
    }
  }
  return Field;
}

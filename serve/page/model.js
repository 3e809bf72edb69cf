// The label space and the limits of the service, asked for once they are needed.

import { info, taxonomy } from "./api.js";
import { hues } from "./marks.js";

let asked = null;
let loaded = null;

/** The model, loaded; throws a `Problem`, and asks again the next time. `fresh` asks again in any case. */
export function loadModel(fresh = false) {
  if (asked === null || fresh) {
    asked = Promise.all([taxonomy(), info()]).then(
      ([space, { limits, ...about }]) => {
        loaded = new Model(space, limits, about);
        document.dispatchEvent(new Event("model"));
        return loaded;
      },
      (error) => {
        asked = null;
        throw error;
      },
    );
  }
  return asked;
}

/** The model if it is there, else null. */
export function knownModel() {
  return loaded;
}

class Model {
  constructor(space, limits, about) {
    Object.assign(this, { space, limits, about });
    const colours = hues(space.dimensions.length);
    this.dimensions = new Map(space.dimensions.map((dimension, i) => [dimension.key, { ...dimension, hue: colours[i] }]));
  }

  dimension(key) {
    return this.dimensions.get(key) ?? { key, zh: key, en: key, group: "", owner: "", hue: 0 };
  }
}

// A record's labels while a person corrects them, and what of them goes into the feedback.

/** What is said of the text as a whole; every other field is a dimension. */
export const WHOLE = ["overall", "intent", "escalation"];

/**
 * The labels of a record: {overall, intent, escalation, mentions}. A mention keeps what the record says of it; its
 * `sentiment` becomes "none" when it is taken away, so that it can be given back.
 */
export function labelsOf(record) {
  const { overall, intent, escalation, dimensions } = record;
  return {
    overall: overall.sentiment,
    intent: intent.label,
    escalation: escalation.label,
    mentions: dimensions.map((mention) => ({ ...mention, said: mention.sentiment })),
  };
}

/** The value of a field: "overall", "intent", "escalation" or a dimension's key. "none": not mentioned. */
export function valueOf(labels, field) {
  if (WHOLE.includes(field)) return labels[field];
  return labels.mentions.find(({ dimension }) => dimension === field)?.sentiment ?? "none";
}

/** New labels in which `field` has `value`. A dimension not yet there is added, with `more` {start, end, evidence}. */
export function withValue(labels, field, value, more = {}) {
  if (WHOLE.includes(field)) return { ...labels, [field]: value };
  const known = labels.mentions.some(({ dimension }) => dimension === field);
  const mentions = known
    ? labels.mentions.map((mention) => (mention.dimension === field ? { ...mention, sentiment: value } : mention))
    : [...labels.mentions, { dimension: field, sentiment: value, said: "none", ...more }];
  // One that only a person added, and took away again, leaves nothing behind.
  return { ...labels, mentions: mentions.filter(({ said, sentiment }) => said !== "none" || sentiment !== "none") };
}

/** Whether a person gave `field` another value than the model. */
export function corrected(record, labels, field) {
  return valueOf(labels, field) !== valueOf(labelsOf(record), field);
}

/**
 * The labels as a labelled record has them, offsets in UTF-16 units. `judged` is the set of fields that a person has looked
 * at; what is not in it stays unknown. null: all of them.
 */
export function asLabels(labels, judged = null) {
  const whole = Object.fromEntries(WHOLE.map((field) => [field, labels[field]]).filter(([field]) => !judged || judged.has(field)));
  const keys = judged && [...judged].filter((field) => !WHOLE.includes(field));
  if (keys && !keys.length) return whole;
  return {
    ...whole,
    ...(keys ? { annotated: keys } : {}),
    labels: labels.mentions
      .filter(({ dimension, sentiment }) => sentiment !== "none" && (!keys || keys.includes(dimension)))
      .map(({ dimension, sentiment, start, end }) =>
        start === undefined ? { dimension, sentiment } : { dimension, sentiment, start, end },
      ),
  };
}

/** Who answers first: the owners of what is blamed; of everything mentioned, if nothing is but somebody asks or asks for. */
export function owners(labels, model) {
  const mentioned = labels.mentions.filter(({ sentiment }) => sentiment !== "none");
  const blamed = mentioned.filter(({ sentiment }) => sentiment === "negative");
  const asked = blamed.length || labels.intent === "review" ? blamed : mentioned;
  return [...new Set(asked.map(({ dimension, owner }) => owner ?? model.dimension(dimension).owner))].filter(Boolean);
}

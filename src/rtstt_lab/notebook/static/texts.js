/** The person's language: the catalogue is joined to the bundle, so nothing is written twice. */

/**
 * Fills the placeholders of a catalogue text, as Python's str.format does for `{name}` and `{name:.1f}`.
 *
 * @param {string} text
 * @param {Record<string, unknown>} [parameters]
 */
export function fill(text, parameters = {}) {
  return text.replace(/\{(\w+)(?::\.(\d)f)?\}/g, (_, name, digits) => {
    const value = parameters[name];
    return digits === undefined ? String(value) : Number(value).toFixed(Number(digits));
  });
}

/**
 * A function from key to text; a key that the catalogue lacks (a newer server's error) becomes `otherwise`.
 *
 * @param {Record<string, Record<string, string>>} catalogues by language
 * @param {string} language
 */
export function translator(catalogues, language) {
  const texts = catalogues[language] ?? catalogues.en;
  return (key, parameters, otherwise = key) => (key in texts ? fill(texts[key], parameters) : otherwise);
}

// The same client for import: Node and bundlers see CommonJS, a browser sees a script that sets a global.
import * as client from "./holdfast.js";

export const Holdfast = client.default || globalThis.Holdfast;
export default Holdfast;

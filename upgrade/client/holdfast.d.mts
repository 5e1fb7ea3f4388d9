import Holdfast from "./holdfast.js";

export default Holdfast;
export { Holdfast };

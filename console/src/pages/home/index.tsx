// Home: one sentence on how everything is, then what is wrong, the worst first.

import { useText } from "../../i18n";
import { Page } from "../../ui";
import { homeText } from "./text";

export default function Home() {
  const text = useText(homeText);
  return <Page title={text.title}>{null}</Page>;
}

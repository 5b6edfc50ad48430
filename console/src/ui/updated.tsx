import { shellText } from "../app/text";
import { useText } from "../i18n";
import { Empty } from "./empty";

/** Shown when this build of the console is no longer served. */
export function Updated() {
  const text = useText(shellText);
  return <Empty title={text.newer} action={{ label: text.reload, run: () => location.reload() }} />;
}

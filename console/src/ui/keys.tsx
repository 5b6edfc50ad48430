import { keyText } from "../app/shortcuts";
import styles from "./keys.module.css";

/** Keys as they are on this keyboard: `mod+k` reads ⌘ K or Ctrl K. */
export function Keys({ keys }: { keys: string }) {
  return (
    <span className={styles.keys}>
      {keyText(keys).map((key) => (
        <kbd key={key}>{key}</kbd>
      ))}
    </span>
  );
}

// The list of keys that work now.

import { useText } from "../i18n";
import { Modal } from "../ui/dialog";
import { Keys } from "../ui/keys";
import styles from "./help.module.css";
import { useActiveShortcuts } from "./shortcuts";
import { shellText } from "./text";

export default function Help({ onClose }: { onClose: () => void }) {
  const text = useText(shellText);
  const shortcuts = useActiveShortcuts();
  return (
    <Modal isOpen onOpenChange={(open) => open || onClose()} title={text.help}>
      <dl className={styles.keys}>
        {shortcuts.map((shortcut) => (
          <div key={shortcut.keys + shortcut.label}>
            <dt>
              <Keys keys={shortcut.keys} />
            </dt>
            <dd>{shortcut.label}</dd>
          </div>
        ))}
      </dl>
    </Modal>
  );
}

// What the right mouse button offers over cells.

import { useRef } from "react";
import { Menu as AriaMenu } from "react-aria-components/Menu";
import { Popover } from "react-aria-components/Popover";
import { useText } from "../i18n";
import { MenuItem } from "../ui/menu";
import styles from "./grid.module.css";
import { gridText } from "./text";

export interface GridMenuProps {
  /** In the window. */
  at: { x: number; y: number };
  onClose: () => void;
  onCopy: (headers: boolean) => void;
  onOpen: () => void;
  onFind: () => void;
}

export function GridMenu({ at, onClose, onCopy, onOpen, onFind }: GridMenuProps) {
  const text = useText(gridText);
  const anchor = useRef<HTMLSpanElement>(null);
  return (
    <>
      <span ref={anchor} className={styles.menuAnchor} style={{ left: at.x, top: at.y }} />
      <Popover
        triggerRef={anchor}
        isOpen
        onOpenChange={onClose}
        placement="bottom start"
        className={styles.popover ?? ""}
      >
        <AriaMenu aria-label={text.copy} className={styles.menu ?? ""} onClose={onClose}>
          <MenuItem onAction={() => onCopy(false)}>{text.copy}</MenuItem>
          <MenuItem onAction={() => onCopy(true)}>{text.copyWithHeaders}</MenuItem>
          <MenuItem onAction={onOpen}>{text.openCell}</MenuItem>
          <MenuItem onAction={onFind}>{text.findInResult}</MenuItem>
        </AriaMenu>
      </Popover>
    </>
  );
}

// A menu behind a button.

import { Check } from "lucide-react";
import type { ReactElement, ReactNode } from "react";
import { Header } from "react-aria-components/Header";
import {
  MenuItem as AriaItem,
  Menu as AriaMenu,
  MenuSection as AriaSection,
  MenuTrigger,
} from "react-aria-components/Menu";
import { Popover } from "react-aria-components/Popover";
import styles from "./menu.module.css";

/** `trigger` is a `Button` or an `IconButton`; children are `MenuItem`s and `MenuSection`s. */
export function Menu({ trigger, children }: { trigger: ReactElement; children: ReactNode }) {
  return (
    <MenuTrigger>
      {trigger}
      <Popover className={styles.popover ?? ""} placement="bottom end">
        <AriaMenu className={styles.menu ?? ""}>{children}</AriaMenu>
      </Popover>
    </MenuTrigger>
  );
}

export interface MenuItemProps {
  children: string;
  onAction: () => void;
  isChosen?: boolean;
  isDisabled?: boolean;
  danger?: boolean;
}

export function MenuItem({ children, onAction, isChosen, isDisabled = false, danger }: MenuItemProps) {
  return (
    <AriaItem
      className={styles.item ?? ""}
      onAction={onAction}
      isDisabled={isDisabled}
      textValue={children}
      data-danger={danger || undefined}
      aria-current={isChosen || undefined}
    >
      <span className={styles.mark}>{isChosen && <Check size={15} aria-hidden />}</span>
      {children}
    </AriaItem>
  );
}

export function MenuSection({
  title,
  hint,
  children,
}: {
  title?: string;
  hint?: string | undefined;
  children: ReactNode;
}) {
  return (
    <AriaSection className={styles.section ?? ""} {...(title ? {} : { "aria-label": "…" })}>
      {title && (
        <Header className={styles.title ?? ""}>
          {title}
          {hint && <span>{hint}</span>}
        </Header>
      )}
      {children}
    </AriaSection>
  );
}

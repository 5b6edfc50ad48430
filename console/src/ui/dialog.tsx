// A dialog above the page: focus stays in it, Escape closes it, the focus returns to where it was.

import type { ReactNode } from "react";
import { Dialog as AriaDialog } from "react-aria-components/Dialog";
import { Heading } from "react-aria-components/Heading";
import { Modal as AriaModal, ModalOverlay } from "react-aria-components/Modal";
import styles from "./dialog.module.css";

export interface ModalProps {
  isOpen: boolean;
  onOpenChange: (open: boolean) => void;
  /** Shown above; without it give `label`. */
  title?: string;
  label?: string;
  /** A click beside it does not close it: for forms with typed text. */
  keep?: boolean;
  wide?: boolean;
  className?: string | undefined;
  children: ReactNode;
}

export function Modal({ isOpen, onOpenChange, title, label, keep, wide, className = "", children }: ModalProps) {
  return (
    <ModalOverlay isOpen={isOpen} onOpenChange={onOpenChange} isDismissable={!keep} className={styles.veil ?? ""}>
      <AriaModal className={`${styles.modal} ${className}`} data-wide={wide || undefined}>
        <AriaDialog className={styles.dialog ?? ""} {...(title ? {} : { "aria-label": label })}>
          {title && (
            <Heading slot="title" className={styles.title ?? ""}>
              {title}
            </Heading>
          )}
          {children}
        </AriaDialog>
      </AriaModal>
    </ModalOverlay>
  );
}

/** The row of buttons at a dialog's end: the one that goes on comes last. */
export function DialogButtons({ children }: { children: ReactNode }) {
  return <div className={styles.buttons}>{children}</div>;
}

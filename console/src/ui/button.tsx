// Buttons. `primary` once a view: what most people came for. `danger` only for what cannot be taken back.

import type { LucideIcon } from "lucide-react";
import type { ReactNode } from "react";
import { Button as AriaButton, type ButtonProps as AriaProps } from "react-aria-components/Button";
import { Tooltip, TooltipTrigger } from "react-aria-components/Tooltip";
import styles from "./button.module.css";

export interface ButtonProps extends Omit<AriaProps, "children" | "className" | "style"> {
  kind?: "primary" | "plain" | "quiet" | "danger";
  small?: boolean;
  icon?: LucideIcon;
  children: ReactNode;
  className?: string | undefined;
}

export function Button({ kind = "plain", small, icon: Icon, children, className = "", ...rest }: ButtonProps) {
  return (
    <AriaButton {...rest} className={`${styles.button} ${className}`} data-kind={kind} data-small={small || undefined}>
      {Icon && <Icon size={16} aria-hidden />}
      <span>{children}</span>
    </AriaButton>
  );
}

export interface IconButtonProps extends Omit<AriaProps, "children" | "className" | "style"> {
  /** Read aloud, and shown on hover and focus. */
  label: string;
  icon: LucideIcon;
  small?: boolean;
  className?: string | undefined;
}

export function IconButton({ label, icon: Icon, small, className = "", ...rest }: IconButtonProps) {
  return (
    <TooltipTrigger delay={400}>
      <AriaButton
        {...rest}
        aria-label={label}
        className={`${styles.button} ${className}`}
        data-kind="quiet"
        data-icon
        data-small={small || undefined}
      >
        <Icon size={small ? 16 : 18} aria-hidden />
      </AriaButton>
      <Tooltip className={styles.tip ?? ""} offset={6}>
        {label}
      </Tooltip>
    </TooltipTrigger>
  );
}

// Things to fill in: label above, help below, the mistake beside it in words.

import { ChevronDown, Search, X } from "lucide-react";
import type { ReactNode } from "react";
import { Button } from "react-aria-components/Button";
import { Checkbox as AriaCheckbox } from "react-aria-components/Checkbox";
import { FieldError } from "react-aria-components/FieldError";
import { Input } from "react-aria-components/Input";
import { Label } from "react-aria-components/Label";
import { ListBox, ListBoxItem } from "react-aria-components/ListBox";
import { Popover } from "react-aria-components/Popover";
import { SearchField as AriaSearch } from "react-aria-components/SearchField";
import { Select as AriaSelect, SelectValue } from "react-aria-components/Select";
import { Text } from "react-aria-components/Text";
import { TextArea } from "react-aria-components/TextArea";
import { TextField } from "react-aria-components/TextField";
import { useText } from "../i18n";
import styles from "./field.module.css";
import { uiText } from "./text";

interface Common {
  label: string;
  help?: ReactNode;
  /** What is wrong with it now. */
  error?: string | undefined;
  required?: boolean;
}

export interface FieldProps extends Common {
  value: string;
  onChange: (value: string) => void;
  type?: "text" | "email" | "password" | "url" | "number" | "date" | "datetime-local";
  placeholder?: string;
  /** More than one line. */
  lines?: number;
  mono?: boolean;
  disabled?: boolean;
  autoFocus?: boolean;
}

export function Field({ label, help, error, required, value, onChange, type = "text", lines, ...rest }: FieldProps) {
  const { placeholder = "", mono, disabled = false, autoFocus = false } = rest;
  const looks = `${styles.input} ${mono ? styles.mono : ""}`;
  return (
    <TextField
      className={styles.field ?? ""}
      value={value}
      onChange={onChange}
      type={type === "date" || type === "datetime-local" ? "text" : type}
      isInvalid={error !== undefined}
      isRequired={required ?? false}
      isDisabled={disabled}
      autoFocus={autoFocus}
    >
      <Label className={styles.label ?? ""}>{label}</Label>
      {lines ? (
        <TextArea rows={lines} className={looks} placeholder={placeholder} />
      ) : (
        <Input className={looks} placeholder={placeholder} type={type} />
      )}
      {help && (
        <Text slot="description" className={styles.help ?? ""}>
          {help}
        </Text>
      )}
      <FieldError className={styles.error ?? ""}>{error}</FieldError>
    </TextField>
  );
}

export interface SelectProps<Key extends string> extends Common {
  value: Key;
  onChange: (value: Key) => void;
  items: { id: Key; label: string }[];
  /** The label is only read aloud. */
  bare?: boolean;
}

export function Select<Key extends string>({ label, help, value, onChange, items, bare }: SelectProps<Key>) {
  return (
    <AriaSelect
      className={styles.field ?? ""}
      selectedKey={value}
      onSelectionChange={(key) => key !== null && onChange(key as Key)}
      {...(bare ? { "aria-label": label } : {})}
    >
      {!bare && <Label className={styles.label ?? ""}>{label}</Label>}
      <Button className={`${styles.input} ${styles.select}`}>
        <SelectValue />
        <ChevronDown size={16} aria-hidden />
      </Button>
      {help && (
        <Text slot="description" className={styles.help ?? ""}>
          {help}
        </Text>
      )}
      <Popover className={styles.popover ?? ""}>
        <ListBox className={styles.list ?? ""} items={items}>
          {(item) => (
            <ListBoxItem id={item.id} textValue={item.label} className={styles.option ?? ""}>
              {item.label}
            </ListBoxItem>
          )}
        </ListBox>
      </Popover>
    </AriaSelect>
  );
}

export interface CheckboxProps {
  children: ReactNode;
  checked: boolean;
  onChange: (checked: boolean) => void;
  disabled?: boolean;
}

export function Checkbox({ children, checked, onChange, disabled = false }: CheckboxProps) {
  return (
    <AriaCheckbox className={styles.checkbox ?? ""} isSelected={checked} onChange={onChange} isDisabled={disabled}>
      <span className={styles.box} aria-hidden />
      {children}
    </AriaCheckbox>
  );
}

/** A filter over what is shown. `/` leads to it (see `useShortcuts`) when given `id`. */
export function SearchField(props: { label?: string; value: string; onChange: (value: string) => void; id?: string }) {
  const text = useText(uiText);
  return (
    <AriaSearch
      className={styles.search ?? ""}
      aria-label={props.label ?? text.filter}
      value={props.value}
      onChange={props.onChange}
      {...(props.id ? { id: props.id } : {})}
    >
      <Search size={15} aria-hidden />
      <Input className={styles.bare ?? ""} placeholder={props.label ?? text.filterHint} />
      <Button className={styles.clear ?? ""} aria-label={text.clear}>
        <X size={15} aria-hidden />
      </Button>
    </AriaSearch>
  );
}

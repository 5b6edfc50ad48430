// What pages build with.

export { announce } from "./announce";
export { Boundary } from "./boundary";
export { Button, IconButton } from "./button";
export { CodeBlock } from "./code";
export { CopyButton, copyText } from "./copy";
export { DialogButtons, Modal } from "./dialog";
export { Empty } from "./empty";
export { Checkbox, Field, SearchField, Select } from "./field";
export { AsOf, Bytes, Num, Span, Time, useNow } from "./figures";
export { Keys } from "./keys";
export { Marked } from "./marked";
export { Menu, MenuItem, MenuSection } from "./menu";
export { Card, Figures, Page, Pairs, Panel, Toolbar } from "./page";
export { ProblemBox } from "./problem";
export { Loading, Progress } from "./progress";
export { Badge, Notice, Status, type Tone } from "./status";
export { type Column, Table } from "./table";
export { type TabItem, Tabs } from "./tabs";

import { defineText } from "../i18n";

export const chartText = defineText({
  en: {
    shape: "Shape",
    line: "Lines",
    bar: "Bars",
    across: "Across",
    up: "Up",
    none: "This answer has nothing to draw: it needs a number column and something to put it against.",
    loading: "Fetching points…",
    first: (shown: string, all: string) => `Drawn from the first ${shown} of ${all} rows.`,
    drawn: (up: string, across: string, points: string) => `${up} by ${across}, ${points} points`,
    zone: (zone: string) => `Times in ${zone}`,
  },
  ko: {
    shape: "모양",
    line: "선",
    bar: "막대",
    across: "가로",
    up: "세로",
    none: "그릴 것이 없습니다. 숫자 열과 그 기준이 될 열이 필요합니다.",
    loading: "점을 가져오는 중…",
    first: (shown: string, all: string) => `전체 ${all}행 중 처음 ${shown}행으로 그렸습니다.`,
    drawn: (up: string, across: string, points: string) => `${across}별 ${up}, 점 ${points}개`,
    zone: (zone: string) => `시각은 ${zone} 기준`,
  },
});

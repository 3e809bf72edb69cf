// The page's own words, in Chinese and English, and which of the two is shown.

import { recall, remember } from "./memory.js";

const KEY = "cinesent.language";

const WORDS = {
  title: ["cinesent · 影院评论与投诉分析", "cinesent · cinema reviews and complaints"],
  tagline: ["影院评论与投诉分析", "Cinema reviews and complaints"],
  skip: ["跳到正文", "Skip to the content"],
  language: ["Switch to English", "切换到中文"],
  language_short: ["EN", "中文"],
  theme_dark: ["切换到深色", "Switch to dark"],
  theme_light: ["切换到浅色", "Switch to light"],
  tab_text: ["一段文字", "A text"],
  tab_file: ["一个文件", "A file"],
  api: ["API 文档", "API documentation"],
  noscript: ["此页需要 JavaScript。", "This page needs JavaScript."],

  input_label: ["评论或投诉原文", "The review or complaint"],
  input_hint: ["把顾客的原话贴在这里，简体、繁体都可以", "Paste what the customer wrote, in Chinese, Simplified or Traditional"],
  analyse: ["分析", "Analyse"],
  analysing: ["分析中…", "Analysing…"],
  clear: ["清空", "Clear"],
  shortcut: ["Ctrl + Enter", "Ctrl + Enter"],
  characters: ["{n} 字", "{n} characters"],
  characters_of: ["{n} / {most} 字", "{n} / {most} characters"],
  samples: ["试一试：", "Try one:"],
  sample_1: ["有褒有贬", "praise and blame"],
  sample_2: ["安全投诉", "a safety complaint"],
  sample_3: ["繁體詢問", "a question, Traditional"],

  empty_title: ["读懂一条评论", "What a review says"],
  empty_1: ["说到了哪些服务，是好是坏，依据是哪几个字", "Which services it mentions, good or bad, and which words say so"],
  empty_2: ["整体态度、诉求、要不要升级，该先由谁答复", "Its mood, its intent, whether to escalate, and who answers first"],
  empty_3: ["判断错了？点标签改正，模型下次会学到", "Wrong? Click a label to correct it: the model learns from it"],

  result: ["分析结果", "Result"],
  marked: ["原文与依据", "The text and its evidence"],
  overall: ["整体情感", "Overall"],
  intent: ["诉求", "Intent"],
  escalation: ["升级处理", "Escalation"],
  owners: ["先由谁答复", "Answers first"],
  owners_none: ["没有需要跟进的部门", "Nobody has to follow up"],
  mentions: ["说到的服务", "Services mentioned"],
  mentions_none: ["没有说到任何服务", "No service is mentioned"],
  confidence: ["把握 {p}", "{p} sure"],
  by_hand: ["人工更正", "corrected"],
  uncertain: ["模型没有把握，请人工复核", "The model is not sure: please check"],
  uncertain_why: [
    "看一遍下面的标签：不对的点一下改正，都对就确认。",
    "Read the labels below. Click a wrong one to correct it; confirm if all are right.",
  ],
  truncated: ["原文太长，后面的部分没有读。", "The text is too long: its end was not read."],
  status_empty: ["没有可读的内容", "There is nothing to read"],
  status_empty_why: ["去掉空白和看不见的字符后，这段文字是空的。", "Without white space and invisible characters the text is empty."],
  status_not_chinese: ["这段文字不是中文", "This text is not Chinese"],
  status_not_chinese_why: ["模型只读中文评论，因此没有给出判断。", "The model reads Chinese reviews only, so there is no judgement."],
  model: ["模型 {name}", "Model {name}"],

  positive: ["正面", "positive"],
  neutral: ["中性", "neutral"],
  negative: ["负面", "negative"],
  none: ["没有说到", "not mentioned"],
  review: ["评价", "review"],
  complaint: ["投诉", "complaint"],
  suggestion: ["建议", "suggestion"],
  inquiry: ["咨询", "inquiry"],
  escalate_true: ["需要升级", "escalate"],
  escalate_false: ["不必升级", "no need"],

  correct: ["更正：{what}，现在是{now}", "Correct {what}, now {now}"],
  choices: ["改为", "Change to"],
  saving: ["正在保存…", "Saving…"],
  saved: ["更正已保存：{what} → {now}", "Saved: {what} → {now}"],
  confirmed: ["已确认，谢谢", "Confirmed, thank you"],
  undo: ["撤销", "Undo"],
  undone: ["已撤销", "Undone"],
  not_saved: ["更正没有保存", "The correction was not saved"],
  confirm: ["全部正确", "All correct"],
  add: ["补充漏掉的", "Add what is missing"],
  add_title: ["还说到了哪项服务？", "Which service is missing?"],
  add_evidence: ["依据：“{text}”", "Evidence: “{text}”"],
  add_hint: ["先在原文里选中依据的文字，会一起保存。", "Select the words in the text first, to keep them as evidence."],
  close: ["关闭", "Close"],

  file_title: ["给整张表打标签", "Label a whole table"],
  file_lead: ["CSV、Excel 等表格，一行一条评论。", "CSV, Excel and the like, one review a row."],
  drop: ["把文件拖到这里，或", "Drop a file here, or"],
  choose: ["选择文件", "choose one"],
  drop_now: ["松开即上传", "Let go to upload"],
  file_types: ["CSV、TSV、XLSX、JSONL、Parquet，也可以压缩", "CSV, TSV, XLSX, JSONL, Parquet, also compressed"],
  file_most: ["最大 {size}", "up to {size}"],
  text_column: ["评论在哪一列", "Column of the reviews"],
  text_column_hint: ["自动识别", "found by itself"],
  output_format: ["结果格式", "Format of the result"],
  output_language: ["结果语言", "Language of the result"],
  format_xlsx: ["Excel（XLSX）", "Excel (XLSX)"],
  format_csv: ["CSV", "CSV"],
  format_jsonl: ["JSONL", "JSONL"],
  format_parquet: ["Parquet", "Parquet"],
  chinese: ["中文", "Chinese"],
  english: ["英文", "English"],
  jobs: ["文件", "Files"],
  job_uploading: ["正在上传 {p}", "Uploading {p}"],
  job_queued: ["排队中", "Waiting"],
  job_running: ["正在分析", "Analysing"],
  job_done: ["完成", "Done"],
  job_failed: ["没有完成", "Failed"],
  job_gone: ["文件已从服务器删除", "No longer on the server"],
  job_rows: ["{n} 行", "{n} rows"],
  job_rows_of: ["{n} / {all} 行", "{n} of {all} rows"],
  job_rejected: ["{n} 行读不了，另存", "{n} rows could not be read; kept apart"],
  job_download: ["下载结果", "Download"],
  job_report: ["查看报告", "Open the report"],
  job_report_save: ["下载报告", "Download the report"],
  job_failed_why: ["请检查文件，或写明评论在哪一列。服务的说明：", "Check the file, or say which column has the reviews. The service says:"],
  job_rejects: ["下载读不了的行", "Download the unreadable rows"],
  job_remove: ["删除", "Remove"],
  job_cancel: ["取消", "Cancel"],
  job_progress: ["{name} 的进度", "Progress of {name}"],
  job_ready: ["{name} 已完成", "{name} is done"],

  key_title: ["需要 API 密钥", "An API key is needed"],
  key_lead: ["这个服务只给有密钥的人用。密钥请向管理员要。", "This service is for holders of a key. Ask its operator for one."],
  key_label: ["API 密钥", "API key"],
  key_wrong: ["这个密钥不对，请检查后再试。", "This key is not accepted. Check it and try again."],
  key_kept: ["只保存在这个标签页里，关掉就没有了。", "Kept in this tab only, until it is closed."],
  key_use: ["使用", "Use it"],
  key_forget: ["退出密钥", "Forget the key"],
  cancel: ["取消", "Cancel"],

  retry: ["再试一次", "Try again"],
  retry_now: ["立即重试", "Try now"],
  retry_in: ["{n} 秒后自动重试", "Trying again in {n} s"],
  wait_stop: ["不等了", "Stop waiting"],
  kept: ["您写的内容还在。", "What you wrote is still here."],
  error_network: ["连不上服务", "The service cannot be reached"],
  error_network_why: ["请检查网络，或问管理员服务是否在运行。", "Check the network, or ask the operator whether it is running."],
  error_401: ["没有密钥", "No key"],
  error_401_why: ["没有密钥就不能使用。", "It cannot be used without a key."],
  error_403: ["这个密钥没有这项权限", "This key may not do that"],
  error_403_why: ["请管理员给它加上权限，或换一个密钥。", "Ask the operator to allow it, or use another key."],
  error_404: ["服务器上没有这个", "The server does not have this"],
  error_404_why: ["可能已过期或已删除。", "It may have expired or been removed."],
  error_413: ["内容太大", "Too large"],
  error_413_text: ["最多 {most} 字，请分段再试。", "At most {most} characters: send it in parts."],
  error_413_file: ["文件最大 {size}，请拆成几个。", "At most {size} a file: split it."],
  error_413_why: ["请分成几份再试。", "Send it in parts."],
  error_422: ["服务读不了这份内容", "The service cannot read this"],
  error_422_why: ["请检查后再试。服务的说明：", "Check it and try again. The service says:"],
  error_422_unicode: ["里面有损坏的字符，请重新复制原文再试。", "It has broken characters: copy the text again."],
  error_422_file: ["这不是能读的表格，请检查格式。服务的说明：", "This is no table that can be read. The service says:"],
  error_429: ["现在请求太多", "Too many requests just now"],
  error_429_why: ["服务正忙，不用重新提交。", "The service is busy. No need to send it again."],
  error_503: ["服务还没准备好", "The service is not ready"],
  error_503_why: ["模型正在加载或服务正在重启，通常不到一分钟。", "The model is being loaded, or the service restarts: mostly under a minute."],
  error_503_failed: ["模型没有加载成功，请联系管理员。", "The model could not be loaded. Tell the operator."],
  error_503_disk: ["服务器的磁盘满了，请联系管理员。", "The server's disk is full. Tell the operator."],
  error_504: ["分析超时", "It took too long"],
  error_504_why: ["服务太忙，请稍后再试，或缩短内容。", "The service is too busy. Try later, or with a shorter text."],
  error_500: ["服务出错了", "The service failed"],
  error_500_why: ["请再试一次；还不行就告诉管理员。", "Try again; if it fails again, tell the operator."],
};

let current = choose();

function choose() {
  const kept = recall(KEY);
  if (kept === "zh" || kept === "en") return kept;
  return navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en";
}

export function language() {
  return current;
}

/** The words of `key` in the current language, with `{name}` replaced by values. */
export function t(key, values = {}) {
  const found = WORDS[key]?.[current === "zh" ? 0 : 1] ?? key;
  return found.replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

/** The words of a label; a label space of another trade has others, which stay as they are. */
export function label(value) {
  return WORDS[value] ? t(value) : String(value);
}

/** The name of a dimension: from the taxonomy, or its key while that is not there. */
export function dimensionName(dimension) {
  return current === "zh" ? dimension.zh : dimension.en || dimension.key;
}

export function percent(share) {
  return `${Math.round(100 * share)}%`;
}

export function number(value) {
  return value.toLocaleString(current === "zh" ? "zh-CN" : "en-GB");
}

export function size(bytes) {
  const mib = bytes / 2 ** 20;
  return mib >= 1 ? `${Number(mib.toFixed(1))} MB` : `${Math.ceil(bytes / 2 ** 10)} KB`;
}

/** Puts the words into everything that asks for them by `data-t`, `data-t-label` and `data-t-placeholder`. */
export function translate(root = document) {
  for (const node of root.querySelectorAll("[data-t]")) node.textContent = t(node.dataset.t);
  for (const node of root.querySelectorAll("[data-t-label]")) node.setAttribute("aria-label", t(node.dataset.tLabel));
  for (const node of root.querySelectorAll("[data-t-placeholder]")) node.placeholder = t(node.dataset.tPlaceholder);
}

/** Shows the page in `chosen`, remembers it, and tells the other modules by the event `language`. */
export function setLanguage(chosen) {
  current = chosen;
  remember(KEY, chosen);
  show();
  document.dispatchEvent(new Event("language"));
}

export function show() {
  document.documentElement.lang = current === "zh" ? "zh-CN" : "en";
  document.title = t("title");
  translate();
}

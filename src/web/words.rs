//! The words of the pages in English, Swedish and Chinese.
//!
//! A number and what it counts stand beside each other so that no language needs a plural. Words are plain text: who writes
//! them into a page escapes them as all else.

use crate::config::model::Language;

/// All words of one language.
pub(super) struct Words {
    /// The language's tag (RFC 5646).
    pub tag: &'static str,
    /// Title of the page with the letters.
    pub inbox: &'static str,
    /// Title of the page with the deleted ones.
    pub deleted_letters: &'static str,
    /// Title of the settings.
    pub settings: &'static str,
    /// Title and button.
    pub log_in: &'static str,
    /// Button.
    pub log_out: &'static str,
    /// Link to the content.
    pub skip: &'static str,
    /// Label of the name.
    pub name: &'static str,
    /// Label of the password.
    pub password: &'static str,
    /// A login failed.
    pub wrong_password: &'static str,
    /// A login has to wait; so many seconds follow.
    pub wait: &'static str,
    /// Title of the page a link leads to.
    pub open_title: &'static str,
    /// What a link's button does.
    pub open_text: &'static str,
    /// Button of a link.
    pub open_button: &'static str,
    /// A link is too old or was used.
    pub link_over: &'static str,
    /// There is no letter.
    pub nothing: &'static str,
    /// There is no new letter.
    pub all_heard: &'static str,
    /// Letters that are new; a number stands before.
    pub new: &'static str,
    /// Mark of a new letter.
    pub new_mark: &'static str,
    /// Letters that she has seen; a number follows.
    pub earlier: &'static str,
    /// Link to older letters.
    pub older: &'static str,
    /// Link to the newest letters.
    pub newest: &'static str,
    /// A letter that is a text.
    pub text: &'static str,
    /// A letter that is a recording.
    pub voice: &'static str,
    /// A letter that is a missed call.
    pub call: &'static str,
    /// How long a call rang: stands before the seconds.
    pub rang: &'static str,
    /// Stands behind seconds.
    pub seconds: &'static str,
    /// A recording has not ended.
    pub recording: &'static str,
    /// Seconds of a recording that are missing follow.
    pub lost: &'static str,
    /// The sender only claims the address.
    pub stranger: &'static str,
    /// The clock was not sure when it came.
    pub no_time: &'static str,
    /// Under a minute ago.
    pub ago_now: &'static str,
    /// Behind a number of minutes.
    pub ago_minutes: &'static str,
    /// Behind a number of hours.
    pub ago_hours: &'static str,
    /// Behind a number of days.
    pub ago_days: &'static str,
    /// Button.
    pub delete: &'static str,
    /// Button.
    pub restore: &'static str,
    /// Button.
    pub undo: &'static str,
    /// Button of a text.
    pub mark_read: &'static str,
    /// Button of a recording.
    pub mark_heard: &'static str,
    /// Button.
    pub mark_new: &'static str,
    /// Button: all of one sender.
    pub mark_all: &'static str,
    /// Link.
    pub download: &'static str,
    /// Link.
    pub call_back: &'static str,
    /// Label of the answer; a name follows.
    pub reply_to: &'static str,
    /// Button.
    pub send: &'static str,
    /// Link.
    pub log_in_to_reply: &'static str,
    /// Link to all of a long text.
    pub whole_text: &'static str,
    /// A message that can't be shown; its type follows.
    pub of_type: &'static str,
    /// A letter's record can't be read now.
    pub unreadable: &'static str,
    /// Said after a deletion.
    pub was_deleted: &'static str,
    /// Said after an answer.
    pub was_sent: &'static str,
    /// Said after a setting.
    pub was_saved: &'static str,
    /// Said when something did not work.
    pub not_done: &'static str,
    /// Title of the presence.
    pub presence: &'static str,
    /// Label of the state.
    pub state: &'static str,
    /// A state.
    pub state_auto: &'static str,
    /// A state.
    pub state_available: &'static str,
    /// A state.
    pub state_away: &'static str,
    /// A state.
    pub state_busy: &'static str,
    /// A state.
    pub state_offline: &'static str,
    /// Label of the note.
    pub note: &'static str,
    /// Title and label of the busy text.
    pub busy_text: &'static str,
    /// What the busy text is for.
    pub busy_hint: &'static str,
    /// Title of the greeting.
    pub greeting: &'static str,
    /// She has one.
    pub greeting_own: &'static str,
    /// She has none.
    pub greeting_none: &'static str,
    /// Label of the file.
    pub greeting_file: &'static str,
    /// Button.
    pub upload: &'static str,
    /// Button.
    pub remove: &'static str,
    /// Title of what becomes of texts.
    pub missed: &'static str,
    /// A choice.
    pub missed_keep: &'static str,
    /// A choice.
    pub missed_deliver: &'static str,
    /// Button.
    pub save: &'static str,
    /// An error.
    pub bad_request: &'static str,
    /// An error: a form is not from this page.
    pub forbidden: &'static str,
    /// An error.
    pub not_found: &'static str,
    /// An error.
    pub too_large: &'static str,
    /// An error: a file is no sound that is understood.
    pub not_wav: &'static str,
    /// An error: there is no room now.
    pub busy_now: &'static str,
}

impl Words {
    /// The words of a language.
    pub const fn of(language: Language) -> &'static Self {
        match language {
            Language::En => &ENGLISH,
            Language::Sv => &SWEDISH,
            Language::Zh => &CHINESE,
        }
    }
}

const ENGLISH: Words = Words {
    tag: "en",
    inbox: "Inbox",
    deleted_letters: "Deleted",
    settings: "Settings",
    log_in: "Log in",
    log_out: "Log out",
    skip: "Skip to content",
    name: "Name",
    password: "Password",
    wrong_password: "That name and password do not belong together.",
    wait: "Too many tries. Seconds to wait:",
    open_title: "Your messages",
    open_text: "This link shows what came for you. It works once, on this device.",
    open_button: "Show messages",
    link_over: "This link has been used or is too old.",
    nothing: "Nothing here.",
    all_heard: "Nothing new",
    new: "new",
    new_mark: "New",
    earlier: "Earlier:",
    older: "Older",
    newest: "Newest",
    text: "Text",
    voice: "Voice message",
    call: "Missed call",
    rang: "rang",
    seconds: "s",
    recording: "Being recorded now",
    lost: "Seconds that could not be kept:",
    stranger: "unconfirmed sender",
    no_time: "time not known",
    ago_now: "just now",
    ago_minutes: "min ago",
    ago_hours: "h ago",
    ago_days: "d ago",
    delete: "Delete",
    restore: "Restore",
    undo: "Undo",
    mark_read: "Mark as read",
    mark_heard: "Mark as heard",
    mark_new: "Mark as new",
    mark_all: "Mark all as read",
    download: "Download",
    call_back: "Call back",
    reply_to: "Reply to",
    send: "Send",
    log_in_to_reply: "Log in to reply",
    whole_text: "Show the whole text",
    of_type: "A message of type",
    unreadable: "It cannot be read now.",
    was_deleted: "Deleted. It is kept for a day.",
    was_sent: "Sent.",
    was_saved: "Saved.",
    not_done: "That did not work. Please try again.",
    presence: "Presence",
    state: "Others see me as",
    state_auto: "as my devices say",
    state_available: "available",
    state_away: "away",
    state_busy: "busy",
    state_offline: "offline",
    note: "Note, e.g. back at 6",
    busy_text: "Reply while I am away",
    busy_hint: "Sent once to who writes while you are away. Empty: a standard text.",
    greeting: "Greeting of the answering machine",
    greeting_own: "Your own greeting:",
    greeting_none: "The standard greeting is played.",
    greeting_file: "New greeting (WAV file)",
    upload: "Upload",
    remove: "Remove",
    missed: "Texts I missed",
    missed_keep: "stay in the inbox",
    missed_deliver: "are sent to my devices when I am back",
    save: "Save",
    bad_request: "The request was not understood.",
    forbidden: "This page is too old. Go back, reload it and try again.",
    not_found: "There is nothing here.",
    too_large: "That is too long.",
    not_wav: "That file is not a WAV file with plain sound (PCM or G.711).",
    busy_now: "The home is busy. Please try again in a moment.",
};

const SWEDISH: Words = Words {
    tag: "sv",
    inbox: "Inkorg",
    deleted_letters: "Raderat",
    settings: "Inställningar",
    log_in: "Logga in",
    log_out: "Logga ut",
    skip: "Till innehållet",
    name: "Namn",
    password: "Lösenord",
    wrong_password: "Namnet och lösenordet hör inte ihop.",
    wait: "För många försök. Sekunder att vänta:",
    open_title: "Dina meddelanden",
    open_text: "Länken visar vad som har kommit till dig. Den fungerar en gång, på den här enheten.",
    open_button: "Visa meddelanden",
    link_over: "Länken är använd eller för gammal.",
    nothing: "Inget här.",
    all_heard: "Inget nytt",
    new: "nya",
    new_mark: "Ny",
    earlier: "Tidigare:",
    older: "Äldre",
    newest: "Nyaste",
    text: "Text",
    voice: "Röstmeddelande",
    call: "Missat samtal",
    rang: "ringde",
    seconds: "s",
    recording: "Spelas in just nu",
    lost: "Sekunder som inte kunde sparas:",
    stranger: "obekräftad avsändare",
    no_time: "okänd tid",
    ago_now: "just nu",
    ago_minutes: "min sedan",
    ago_hours: "h sedan",
    ago_days: "d sedan",
    delete: "Radera",
    restore: "Återställ",
    undo: "Ångra",
    mark_read: "Markera som läst",
    mark_heard: "Markera som hört",
    mark_new: "Markera som ny",
    mark_all: "Markera alla som lästa",
    download: "Ladda ner",
    call_back: "Ring upp",
    reply_to: "Svara",
    send: "Skicka",
    log_in_to_reply: "Logga in för att svara",
    whole_text: "Visa hela texten",
    of_type: "Ett meddelande av typen",
    unreadable: "Det går inte att läsa nu.",
    was_deleted: "Raderat. Det sparas ett dygn.",
    was_sent: "Skickat.",
    was_saved: "Sparat.",
    not_done: "Det gick inte. Försök igen.",
    presence: "Närvaro",
    state: "Andra ser mig som",
    state_auto: "som mina enheter säger",
    state_available: "tillgänglig",
    state_away: "borta",
    state_busy: "upptagen",
    state_offline: "frånkopplad",
    note: "Notering, t.ex. åter kl. 18",
    busy_text: "Svar när jag är borta",
    busy_hint: "Skickas en gång till den som skriver när du är borta. Tomt: en standardtext.",
    greeting: "Telefonsvararens hälsning",
    greeting_own: "Din egen hälsning:",
    greeting_none: "Standardhälsningen spelas.",
    greeting_file: "Ny hälsning (WAV-fil)",
    upload: "Ladda upp",
    remove: "Ta bort",
    missed: "Texter jag missade",
    missed_keep: "stannar i inkorgen",
    missed_deliver: "skickas till mina enheter när jag är tillbaka",
    save: "Spara",
    bad_request: "Begäran gick inte att förstå.",
    forbidden: "Sidan är för gammal. Gå tillbaka, ladda om den och försök igen.",
    not_found: "Det finns inget här.",
    too_large: "Det är för långt.",
    not_wav: "Filen är ingen WAV-fil med vanligt ljud (PCM eller G.711).",
    busy_now: "Hemmet är upptaget. Försök igen om en stund.",
};

const CHINESE: Words = Words {
    tag: "zh-Hans",
    inbox: "收件箱",
    deleted_letters: "已删除",
    settings: "设置",
    log_in: "登录",
    log_out: "退出",
    skip: "跳到内容",
    name: "用户名",
    password: "密码",
    wrong_password: "用户名或密码不正确。",
    wait: "尝试次数过多，请等待（秒）：",
    open_title: "您的留言",
    open_text: "此链接显示您收到的留言，仅可在本设备上使用一次。",
    open_button: "查看留言",
    link_over: "此链接已使用或已过期。",
    nothing: "没有内容。",
    all_heard: "没有新留言",
    new: "条新留言",
    new_mark: "新",
    earlier: "更早：",
    older: "更早的",
    newest: "最新的",
    text: "文字",
    voice: "语音留言",
    call: "未接来电",
    rang: "响铃",
    seconds: "秒",
    recording: "正在录音",
    lost: "未能保存的秒数：",
    stranger: "发件人未经验证",
    no_time: "时间不详",
    ago_now: "刚刚",
    ago_minutes: "分钟前",
    ago_hours: "小时前",
    ago_days: "天前",
    delete: "删除",
    restore: "恢复",
    undo: "撤销",
    mark_read: "标为已读",
    mark_heard: "标为已听",
    mark_new: "标为新留言",
    mark_all: "全部标为已读",
    download: "下载",
    call_back: "回拨",
    reply_to: "回复",
    send: "发送",
    log_in_to_reply: "登录后回复",
    whole_text: "显示全文",
    of_type: "消息类型：",
    unreadable: "现在无法读取。",
    was_deleted: "已删除，保留一天。",
    was_sent: "已发送。",
    was_saved: "已保存。",
    not_done: "操作未成功，请重试。",
    presence: "在线状态",
    state: "对他人显示为",
    state_auto: "由我的设备决定",
    state_available: "在线",
    state_away: "离开",
    state_busy: "忙碌",
    state_offline: "离线",
    note: "备注，例如：六点回来",
    busy_text: "离开时的自动回复",
    busy_hint: "您离开时，对每位来信者发送一次。留空则使用默认回复。",
    greeting: "语音信箱问候语",
    greeting_own: "您自己的问候语：",
    greeting_none: "正在使用默认问候语。",
    greeting_file: "新问候语（WAV 文件）",
    upload: "上传",
    remove: "移除",
    missed: "错过的文字消息",
    missed_keep: "保留在收件箱",
    missed_deliver: "我回来后发送到我的设备",
    save: "保存",
    bad_request: "无法理解该请求。",
    forbidden: "页面已过期，请返回刷新后重试。",
    not_found: "此处没有内容。",
    too_large: "内容过长。",
    not_wav: "该文件不是普通（PCM 或 G.711）WAV 文件。",
    busy_now: "系统繁忙，请稍后重试。",
};

"""What a receipt says first, in the three languages: what happened, what that means, and how to stop it.

These sentences are signed. They stand here and not among the translations of the pages, so that a receipt says in
every language what it said on the day it was issued, wherever it is read.
"""

from collections.abc import Mapping
from types import MappingProxyType

from consent.records import COUNTER, Event

Words = Mapping[str, str]


def _words(zh_hans: str, zh_hant: str, en: str) -> dict[str, str]:
    return {"zh_hans": zh_hans, "zh_hant": zh_hant, "en": en}


WITHDRAW: Words = MappingProxyType(
    _words(
        "随时可以在本服务的授权列表中停止，停止后立即生效。",
        "隨時可以在本服務的授權列表中停止，停止後立即生效。",
        "It can be stopped at any time in the list of authorizations here, with effect at once.",
    )
)
# For an event that has no sentence of its own yet: true of every one of them.
CHANGED: Words = MappingProxyType(
    _words(
        "这项授权有了变更，现在的内容见下。",
        "這項授權有了變更，現在的內容見下。",
        "This authorization was changed; what it says now is below.",
    )
)
GIVEN_BACK: Words = MappingProxyType(
    _words(
        "对方已归还这项授权。自此不能再读取您的数据。",
        "對方已歸還這項授權。自此不能再讀取您的資料。",
        "The third party gave this authorization back. Nothing can be read from now on.",
    )
)
HAPPENED: Mapping[str, Words] = MappingProxyType(
    {
        Event.GIVEN: _words(
            "您已同意这项授权。",
            "您已同意這項授權。",
            "You agreed to this authorization.",
        ),
        Event.REPLACED: _words(
            "您已重新同意，这一份取代之前的内容。",
            "您已重新同意，這一份取代之前的內容。",
            "You agreed anew; this takes the place of what you agreed to before.",
        ),
        Event.ITEM_RECONFIRMED: _words(
            "您已对现在属于敏感的数据重新作出决定，现在的内容见下。",
            "您已對現在屬於敏感的資料重新作出決定，現在的內容見下。",
            "You decided again on data that is sensitive now; what it says now is below.",
        ),
        Event.REFUSED: _words(
            "您已拒绝这项请求。没有提供任何数据。",
            "您已拒絕這項請求。沒有提供任何資料。",
            "You refused this request. Nothing was given.",
        ),
        Event.CO_APPROVAL_PENDING: _words(
            "这项授权已由经办人提交，等待另一人复核。复核之前不能读取任何数据。",
            "這項授權已由經辦人提交，等待另一人覆核。覆核之前不能讀取任何資料。",
            "This authorization was prepared and waits for a second person. Nothing can be read until then.",
        ),
        Event.CO_APPROVED: _words(
            "复核人已同意，这项授权自此生效。",
            "覆核人已同意，這項授權自此生效。",
            "The second person approved; the authorization is active from now on.",
        ),
        Event.CO_REJECTED: _words(
            "复核人未同意。没有提供任何数据。",
            "覆核人未同意。沒有提供任何資料。",
            "The second person did not approve. Nothing was given.",
        ),
        Event.LAPSED: _words(
            "72 小时内无人复核，这项授权没有生效。没有提供任何数据。",
            "72 小時內無人覆核，這項授權沒有生效。沒有提供任何資料。",
            "Nobody approved within 72 hours; it did not become active. Nothing was given.",
        ),
        Event.PAUSED: _words(
            "这项授权已暂停。恢复之前不能读取任何数据。",
            "這項授權已暫停。恢復之前不能讀取任何資料。",
            "This authorization was paused. Nothing can be read until it is resumed.",
        ),
        Event.RESUMED: _words(
            "这项授权已恢复，对方可以按约定读取数据。",
            "這項授權已恢復，對方可以按約定讀取資料。",
            "This authorization was resumed; the third party can read again as agreed.",
        ),
        Event.WITHDRAWN: _words(
            "您已停止这项授权。自此不能再读取任何数据；此前的读取仍属合法。",
            "您已停止這項授權。自此不能再讀取任何資料；此前的讀取仍屬合法。",
            "You stopped this authorization. Nothing can be read from now on; what was read before was read lawfully.",
        ),
        Event.SUSPENDED: _words(
            "主管部门已中止这项授权。恢复之前不能读取任何数据。",
            "主管部門已中止這項授權。恢復之前不能讀取任何資料。",
            "A supervisor suspended this authorization. Nothing can be read until it is reinstated.",
        ),
        Event.REINSTATED: _words(
            "主管部门已恢复这项授权，对方可以按约定读取数据。",
            "主管部門已恢復這項授權，對方可以按約定讀取資料。",
            "A supervisor reinstated this authorization; the third party can read again as agreed.",
        ),
        Event.INVALIDATED: _words(
            "管理员已撤销这项授权。自此不能再读取任何数据。",
            "管理員已撤銷這項授權。自此不能再讀取任何資料。",
            "An administrator revoked this authorization. Nothing can be read from now on.",
        ),
        Event.EXPIRED: _words(
            "这项授权已到期。自此不能再读取任何数据。",
            "這項授權已到期。自此不能再讀取任何資料。",
            "This authorization has expired. Nothing can be read from now on.",
        ),
        Event.EXHAUSTED: _words(
            "这项授权的读取次数已用完。自此不能再读取任何数据。",
            "這項授權的讀取次數已用完。自此不能再讀取任何資料。",
            "This authorization has been used as often as you allowed. Nothing can be read from now on.",
        ),
        Event.TERMINATED: _words(
            "其中一方已不存在，这项授权已终止。自此不能再读取任何数据。",
            "其中一方已不存在，這項授權已終止。自此不能再讀取任何資料。",
            "One of its parties is gone and the authorization has ended. Nothing can be read from now on.",
        ),
        Event.ITEM_WITHDRAWN: _words(
            "您已停止提供其中一项数据，其余不变。",
            "您已停止提供其中一項資料，其餘不變。",
            "You stopped one item of this authorization; the others go on.",
        ),
        Event.SHORTENED: _words(
            "您已缩短这项授权的期限。",
            "您已縮短這項授權的期限。",
            "You brought the end of this authorization forward.",
        ),
        Event.RECONFIRMED: _words(
            "您已查看这项授权，并让它照原样继续。",
            "您已查看這項授權，並讓它照原樣繼續。",
            "You looked at this authorization and let it go on as it is.",
        ),
        Event.DELETION_CONFIRMED: _words(
            "对方已签字确认：从您这里收到的数据已经删除。",
            "對方已簽署確認：從您這裏收到的資料已經刪除。",
            "The third party confirmed with its signature that it has deleted what it received.",
        ),
        Event.DELETION_OVERDUE: _words(
            "对方未按期确认已删除收到的数据。",
            "對方未按期確認已刪除收到的資料。",
            "The third party did not confirm in time that it has deleted what it received.",
        ),
        Event.DELETION_REQUESTED: _words(
            "您已要求对方删除收到的数据。",
            "您已要求對方刪除收到的資料。",
            "You asked the third party to delete what it has received.",
        ),
    }
)


AT_COUNTER = _words(
    "已应您在柜台或电话中的要求停止这项授权。自此不能再读取任何数据。",
    "已應您在櫃位或電話中的要求停止這項授權。自此不能再讀取任何資料。",
    "This authorization was stopped as you asked at a counter or by phone. Nothing can be read from now on.",
)


def what(kind: str, *, channel: str) -> dict[str, str]:
    """What happened, for the holder. ``channel``: the one through which it happened."""
    if kind == Event.WITHDRAWN and channel == "client":
        return dict(GIVEN_BACK)
    if kind == Event.WITHDRAWN and channel == COUNTER:
        return dict(AT_COUNTER)
    return dict(HAPPENED.get(kind, CHANGED))


def withdraw() -> dict[str, str]:
    """How to stop it."""
    return dict(WITHDRAW)

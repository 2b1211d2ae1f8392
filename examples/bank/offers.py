"""What the bank offers, what it asks for each offer, and its own words for the data it gets."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Offer:
    """``code`` is the purpose that is registered with the service; ``months`` how far back an item is asked."""

    code: str
    title: str
    english: str
    pitch: str
    company: bool
    days: int
    items: tuple[str, ...]
    months: dict[str, int] = field(default_factory=dict)

    def authorization_details(self, reference_no: str) -> list[dict[str, Any]]:
        """One object, one purpose (RFC 9396); fields and necessity are the registered ones."""
        items = [
            {"item": item} | ({"period": {"months": self.months[item]}} if item in self.months else {})
            for item in self.items
        ]
        return [
            {
                "type": "data_space_access",
                "purpose": self.code,
                "items": items,
                "duration": {"days": self.days},
                "reference_no": reference_no,
            }
        ]


OFFERS = {
    offer.code: offer
    for offer in (
        Offer(
            code="housing-loan",
            title="个人住房贷款",
            english="Housing loan",
            pitch="不用跑窗口开证明，授权后当场给出可贷额度。",
            company=False,
            days=7,
            items=("p.housing.fund", "p.housing.property_count", "p.family.marriage", "p.tax.income"),
            months={"p.tax.income": 24},
        ),
        Offer(
            code="card-limit-review",
            title="信用卡额度保持",
            english="Keep your card limit",
            pitch="每月只确认您是否连续参保，不看缴费金额。",
            company=False,
            days=90,
            items=("p.identity.basic", "p.social.months6", "p.edu.degree"),
        ),
        Offer(
            code="working-capital-loan",
            title="企业流动资金贷款",
            english="Working-capital loan",
            pitch="凭用电和纳税数据申请，最高 300 万元，无需抵押。",
            company=True,
            days=7,
            items=(
                "e.reg.licence",
                "e.tax.vat",
                "e.energy.power",
                "e.judicial.dishonest",
                "e.social.headcount",
                "e.customs.trade",
            ),
            months={"e.tax.vat": 24, "e.energy.power": 24, "e.social.headcount": 12, "e.customs.trade": 24},
        ),
        Offer(
            code="post-loan-monitoring",
            title="贷后监测",
            english="Monitoring while the loan runs",
            pitch="每月自动了解经营变化，省去季度报表。",
            company=True,
            days=180,
            items=("e.tax.vat", "e.energy.power", "e.judicial.dishonest", "e.social.headcount"),
            months={"e.tax.vat": 3, "e.energy.power": 3, "e.social.headcount": 3},
        ),
    )
}

ITEMS = {
    "p.identity.basic": "身份基本信息",
    "p.social.months6": "连续参保满 6 个月",
    "p.edu.degree": "学历学位",
    "p.housing.fund": "住房公积金",
    "p.housing.property_count": "不动产套数",
    "p.family.marriage": "婚姻登记",
    "p.tax.income": "个人所得税纳税记录",
    "e.reg.licence": "营业执照",
    "e.tax.vat": "增值税申报摘要",
    "e.energy.power": "企业用电",
    "e.judicial.dishonest": "失信被执行人核查",
    "e.social.headcount": "参保人数",
    "e.customs.trade": "进出口记录摘要",
}

FIELDS = {
    "name": "姓名或名称", "answer": "结果", "as_of": "截至", "level": "层次", "balance_band": "余额区间",
    "monthly": "月缴存额", "months": "缴存月数", "loan": "公积金贷款", "city": "城市", "count": "数量",
    "status": "状态", "year": "年度", "income_band": "收入区间", "uscc": "统一社会信用代码", "type": "类型",
    "legal_rep": "法定代表人", "capital": "注册资本", "founded": "成立日期", "scope": "经营范围",
    "period": "税款所属期",
    "sales": "销售额", "tax_payable": "应纳税额", "arrears": "欠税", "month": "月份", "kwh": "用电量（千瓦时）",
    "fee": "电费", "overdue": "欠费", "hit": "是否命中", "case_no": "案号", "paid_flag": "是否足额缴纳",
    "quarter": "季度", "value": "金额", "country_region": "国家或地区",
}  # fmt: skip

REASONS = {
    "access_denied": "客户没有同意这次授权。",
    "consent_withdrawn": "客户已经停止这次授权，我们不能再读取。",
    "consent_expired": "这次授权已经到期。",
    "consent_paused": "客户暂停了这次授权。",
    "consent_pending": "企业的另一位经办人还没有批准。",
    "consent_suspended": "监管人员暂停了这次授权。",
    "consent_invalidated": "管理机构撤销了这次授权。",
    "consent_terminated": "授权的一方已经不存在。",
    "client_suspended": "本行的接入资格被暂停。",
    "mandate_ended": "经办人的代理权已经终止。",
    "quota_exhausted": "约定的读取次数已经用完。",
    "item_not_granted": "客户没有同意提供这一项。",
    "invalid_token": "访问凭证已经失效，需要重新申请授权。",
    "invalid_grant": "授权已经失效，需要重新申请。",
    "wrong_state": "返回的信息与申请不符，已停止处理。",
    "wrong_issuer": "返回的信息来源不符，已停止处理。",
}

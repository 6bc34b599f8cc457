"""Shops in Chinese, Japanese, Turkish and Arabic, made and asked from outside: native queries find what they mean."""

from __future__ import annotations

import atexit
import csv
import shutil
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import pytest

from vetrina import Shop, create_shop

# Of each shop: sku, title, category, colour, description.
CATALOGUES = {
    "zh": [
        ("z01", "夏季新款红色雪纺连衣裙女", "女装 > 连衣裙", "红色", "轻薄透气，适合度假。"),
        ("z02", "黑色修身长款连衣裙", "女装 > 连衣裙", "黑色", "通勤百搭。"),
        ("z03", "红色高腰半身裙", "女装 > 半身裙", "红色", "显瘦。"),
        ("z04", "蓝色牛仔半身裙", "女装 > 半身裙", "蓝色", "水洗棉。"),
        ("z05", "男士纯棉白色长袖衬衫", "男装 > 衬衫", "白色", "免烫。"),
        ("z06", "女士真丝衬衫 米色", "女装 > 衬衫", "米色", "桑蚕丝面料。"),
        ("z07", "黑色真皮手提包女士单肩包", "箱包 > 女包", "黑色", "头层牛皮。"),
        ("z08", "棕色真皮男士公文包", "箱包 > 男包", "棕色", "可放十四寸笔记本电脑。"),
        ("z09", "无线蓝牙耳机降噪", "数码 > 耳机", "白色", "续航三十小时。"),
        ("z10", "头戴式有线游戏耳机", "数码 > 耳机", "黑色", "带麦克风。"),
        ("z11", "轻薄笔记本电脑 14英寸", "数码 > 电脑", "银色", "金属机身。"),
        ("z12", "透气跑步鞋男", "鞋靴 > 运动鞋", "灰色", "缓震鞋底。"),
        ("z13", "女士高跟皮鞋 黑色", "鞋靴 > 皮鞋", "黑色", "羊皮内里。"),
        ("z14", "红色羊毛围巾", "配饰 > 围巾", "红色", "秋冬保暖。"),
        ("z15", "儿童雨伞 黄色", "配饰 > 雨伞", "黄色", "自动开合。"),
        ("z16", "不锈钢保温杯 500ml", "家居 > 杯子", "银色", "十二小时保温。"),
    ],
    "ja": [
        ("j01", "赤いリネンのワンピース", "レディース > ワンピース", "赤", "夏に涼しい麻素材。"),
        ("j02", "黒いコットンワンピース", "レディース > ワンピース", "黒", "普段着に。"),
        ("j03", "赤いフレアスカート", "レディース > スカート", "赤", "ひざ丈。"),
        ("j04", "青いデニムスカート", "レディース > スカート", "青", "洗いざらしの生地。"),
        ("j05", "メンズ白シャツ 長袖", "メンズ > シャツ", "白", "形態安定。"),
        ("j06", "チェック柄ネルシャツ", "メンズ > シャツ", "赤", "やわらかい起毛。"),
        ("j07", "本革ハンドバッグ 黒", "バッグ > ハンドバッグ", "黒", "職人の手縫い。"),
        ("j08", "帆布トートバッグ", "バッグ > トートバッグ", "生成り", "大容量。"),
        ("j09", "自動巻き腕時計", "時計 > 腕時計", "銀", "防水。"),
        ("j10", "木製の掛け時計", "時計 > 掛け時計", "茶", "静かな秒針。"),
        ("j11", "メンズレザーシューズ", "シューズ > 革靴", "茶", "牛革。"),
        ("j12", "軽量ランニングシューズ", "シューズ > スニーカー", "青", "クッション性の高い靴底。"),
        ("j13", "折りたたみ傘 軽量", "雑貨 > 傘", "紺", "晴雨兼用。"),
        ("j14", "メガネケース ハードタイプ", "雑貨 > ケース", "黒", "磁石で閉まる。"),
        ("j15", "ステンレス水筒 500ml", "キッチン > 水筒", "銀", "保温保冷。"),
        ("j16", "有田焼の湯のみ", "キッチン > 食器", "青", "手描きの染付。"),
    ],
    "tr": [
        ("t01", "Kırmızı Keten Elbise", "Kadın > Elbise", "Kırmızı", "Yazlık, hafif kumaş."),
        ("t02", "Siyah Abiye Elbise", "Kadın > Elbise", "Siyah", "Uzun kollu."),
        ("t03", "Kırmızı Mini Etek", "Kadın > Etek", "Kırmızı", "Yüksek bel."),
        ("t04", "Mavi Kot Etek", "Kadın > Etek", "Mavi", "Yıkanmış denim."),
        ("t05", "Erkek Beyaz Gömlek", "Erkek > Gömlek", "Beyaz", "Ütü gerektirmez."),
        ("t06", "İpek Gömlek Bej", "Kadın > Gömlek", "Bej", "Doğal ipek."),
        ("t07", "Siyah Deri El Çantası", "Çanta > El Çantası", "Siyah", "Hakiki deri."),
        ("t08", "Kahverengi Deri Evrak Çantası", "Çanta > Evrak Çantası", "Kahverengi", "Dizüstü bölmeli."),
        ("t09", "Erkek Koşu Ayakkabısı", "Ayakkabı > Spor", "Gri", "Hafif taban."),
        ("t10", "Kadın Topuklu Ayakkabı", "Ayakkabı > Topuklu", "Siyah", "8 cm topuk."),
        ("t11", "Yün Atkı Kırmızı", "Aksesuar > Atkı", "Kırmızı", "Kışlık."),
        ("t12", "Çocuk Şemsiyesi Sarı", "Aksesuar > Şemsiye", "Sarı", "Otomatik açılır."),
        ("t13", "Işıklı Masa Lambası", "Ev > Aydınlatma", "Beyaz", "Üç kademeli ışık."),
        ("t14", "Çelik Termos 500 ml", "Ev > Termos", "Gümüş", "On iki saat sıcak tutar."),
        ("t15", "Bluetooth Kulaklık", "Elektronik > Kulaklık", "Beyaz", "Gürültü önleyici."),
        ("t16", "Pamuklu Yatak Örtüsü", "Ev > Tekstil", "Krem", "Çift kişilik."),
    ],
    "ar": [
        ("a01", "فستان أحمر طويل من الكتان", "نساء > فساتين", "أحمر", "خفيف ومناسب للصيف."),
        ("a02", "فستان سهرة أسود", "نساء > فساتين", "أسود", "بأكمام طويلة."),
        ("a03", "تنورة حمراء قصيرة", "نساء > تنانير", "أحمر", "خصر عالٍ."),
        ("a04", "تنورة جينز زرقاء", "نساء > تنانير", "أزرق", "قطن مغسول."),
        ("a05", "قميص رجالي أبيض", "رجال > قمصان", "أبيض", "لا يحتاج إلى كي."),
        ("a06", "قميص حرير نسائي", "نساء > قمصان", "بيج", "حرير طبيعي."),
        ("a07", "حقيبة يد جلدية سوداء", "حقائب > حقائب يد", "أسود", "جلد طبيعي."),
        ("a08", "حقيبة ظهر للحاسوب", "حقائب > حقائب ظهر", "رمادي", "مقاومة للماء."),
        ("a09", "حذاء رياضي للرجال", "أحذية > رياضية", "رمادي", "نعل خفيف."),
        ("a10", "حذاء نسائي بكعب عال", "أحذية > كعب", "أسود", "كعب ثمانية سنتيمترات."),
        ("a11", "ساعة يد رجالية فضية", "ساعات > ساعات يد", "فضي", "مقاومة للماء."),
        ("a12", "ساعة حائط خشبية", "ساعات > ساعات حائط", "بني", "عقرب صامت."),
        ("a13", "وشاح صوف أحمر", "إكسسوارات > أوشحة", "أحمر", "دافئ في الشتاء."),
        ("a14", "مظلة أطفال صفراء", "إكسسوارات > مظلات", "أصفر", "تفتح تلقائيا."),
        ("a15", "سماعات بلوتوث لاسلكية", "إلكترونيات > سماعات", "أبيض", "عزل الضوضاء."),
        ("a16", "كوب حراري من الفولاذ", "منزل > أكواب", "فضي", "يحفظ الحرارة."),
    ],
}


@cache
def shop(language: str) -> Shop:
    folder = Path(mkdtemp(prefix=f"vetrina-{language}-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with (folder / "products.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["sku", "name", "category", "colour", "description", "price"])
        writer.writerows([*row, 10 + number] for number, row in enumerate(CATALOGUES[language]))
    create_shop(folder / "shop", items_file=folder / "products.csv")
    made = Shop.open(folder / "shop")
    made.build()
    return made


def found(language: str, query: str, k: int) -> list[str]:
    return [result.item for result in shop(language).search(query, k=k).results]


@pytest.mark.parametrize(
    ("language", "query", "expected"),
    [
        ("zh", "红色连衣裙", ["z01"]),
        ("zh", "连衣裙", ["z01", "z02"]),
        ("zh", "裙", ["z01", "z02", "z03", "z04"]),  # one character, within words
        ("zh", "红裙", ["z01", "z03"]),  # short for what no title says in one word
        ("zh", "连衣裙 红", ["z01"]),
        ("zh", "耳机", ["z09", "z10"]),
        ("zh", "蓝牙耳机", ["z09"]),
        ("zh", "笔记本电脑", ["z11"]),
        ("zh", "真皮包", ["z07", "z08"]),
        ("zh", "黑色皮鞋", ["z13"]),
        ("zh", "衬衫", ["z05", "z06"]),
        ("ja", "赤いワンピース", ["j01"]),
        ("ja", "ワンピース", ["j01", "j02"]),
        ("ja", "ﾜﾝﾋﾟｰｽ 赤", ["j01"]),  # half-width
        ("ja", "しゃつ", ["j05", "j06"]),  # the other kana
        ("ja", "レザー シューズ", ["j11"]),
        ("ja", "シューズ", ["j11", "j12"]),
        ("ja", "時計", ["j09", "j10"]),
        ("ja", "腕時計", ["j09"]),
        ("ja", "めがね", ["j14"]),
        ("ja", "傘", ["j13"]),
        ("tr", "kırmızı elbise", ["t01"]),
        ("tr", "KIRMIZI ELBİSE", ["t01"]),
        ("tr", "kirmizi elbise", ["t01"]),  # an English keyboard
        ("tr", "kırmızı elbiseler", ["t01"]),  # plural
        ("tr", "elbise", ["t01", "t02"]),
        ("tr", "ipek gomlek", ["t06"]),
        ("tr", "çantalar", ["t07", "t08"]),
        ("tr", "ayakkabılar", ["t09", "t10"]),
        ("tr", "semsiye", ["t12"]),
        ("tr", "IŞIKLI LAMBA", ["t13"]),
        ("ar", "فستان أحمر", ["a01"]),
        ("ar", "الفستان الاحمر", ["a01"]),  # articles, and no hamza
        ("ar", "فُسْتَان", ["a01", "a02"]),  # vowels
        ("ar", "فستــان", ["a01", "a02"]),  # tatweel
        ("ar", "حقيبه جلديه", ["a07"]),  # heh for teh marbuta
        ("ar", "الحقيبة", ["a07", "a08"]),
        ("ar", "ساعات", ["a11", "a12"]),  # plural
        ("ar", "حذاء رياضى", ["a09"]),  # alef maksura for yeh
        ("ar", "والحذاء", ["a09", "a10"]),
        ("ar", "قميص ابيض", ["a05"]),
        ("ar", "سماعة بلوتوث", ["a15"]),
    ],
)
def test_a_native_query_finds_what_it_means(language: str, query: str, expected: list[str]) -> None:
    assert sorted(found(language, query, len(expected))) == expected


@pytest.mark.parametrize(
    ("language", "query", "expected"),
    [
        ("zh", "裙", {"z01", "z02", "z03", "z04"}),
        ("ja", "傘", {"j13"}),
        ("tr", "kirmizi", {"t01", "t03", "t11"}),
        ("ar", "الفستان", {"a01", "a02"}),
    ],
)
def test_the_words_themselves_match(language: str, query: str, expected: set[str]) -> None:
    """Not only their meaning: what the explanation says of every product."""
    results = shop(language).search(query, k=16).results
    matched = {
        result.item
        for result in results
        if any(reason.kind == "words" and reason.evidence.get("matched") for reason in result.reasons)
    }
    assert matched == expected

# ruff: noqa: E501, RUF001 - letters of many languages
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hipoa.core.errors import TableError
from hipoa.core.tables.encoding import decode

HEAD = "case_id,side,crowe,kl,reader\n"
JAPANESE = "症例番号,側,crowe,kl,読影者\na,左,1,2,佐々木\nb,右,2,３,三浦\n"
CHINESE = "case_id,侧,crowe,kl,reader\na,左,1,2,王伟\nb,右,2,3,刘洋\n"
TRADITIONAL = "case_id,側,crowe,kl,reader\na,左,1,2,王建民\nb,右,2,3,陳水扁\n"
KOREAN = "case_id,side,crowe,kl,reader\na,좌,1,2,김철수\nb,우,2,3,박지성\n"
GERMAN = HEAD + "a,L,1,2,Müller\nb,links,2,3,Schäfer\n"
FRENCH = HEAD + "a,gauche,1,2,René\nb,droite,2,3,François\n"
SPANISH = HEAD + "a,izquierda,1,2,Muñoz\nb,derecha,2,3,Pérez\n"
CZECH = HEAD + "a,L,1,2,Dvořák\nb,R,2,3,Růžička\n"

POLISH = HEAD + "a,L,1,2,Wiśniewski\nb,R,2,3,Dąbrowska\n"
TURKISH = HEAD + "a,L,1,2,Doğan\nb,R,2,3,Güneş\n"

SURE = [
    (JAPANESE, ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp932", "euc_jp", "iso2022_jp"]),
    (HEAD + "a,左,1,2,\n", ["utf-8", "utf-16-le", "cp932", "euc_jp", "gb18030", "big5"]),
    (HEAD + "a,R,1,2,ﾔﾏﾀﾞ\nb,R,1,2,ﾐｳﾗ\n", ["utf-8", "cp932"]),
    (HEAD + "a,R,1,Ⅱ,\n", ["cp932"]),
    (CHINESE, ["utf-8", "utf-16", "gb18030"]),
    (TRADITIONAL, ["utf-8", "utf-16", "big5"]),
    (KOREAN, ["utf-8", "utf-16", "cp949"]),
    (GERMAN, ["utf-8", "utf-16", "cp1252", "mac_roman", "cp850"]),
    (HEAD + "a,L,1,2,Weiß\n", ["utf-8", "utf-16"]),
    (HEAD + "a,L,1,2,Kühn\n", ["cp1252"]),
    (HEAD + "a,L,1,2,um 30° gedreht\n", ["cp1252", "mac_roman"]),
    ("name;r;a;s\ntête fémorale gauche;1;2;3\ntête fémorale (droite);1;2;3\n", ["cp1252"]),
    (FRENCH, ["utf-8", "utf-16", "cp1252", "mac_roman"]),
    (HEAD + "a,gauche,1,2,Hélène\n", ["cp1252"]),
    (SPANISH, ["utf-8", "utf-16", "cp1252"]),
    (CZECH, ["utf-8", "utf-16", "cp1250", "cp852"]),
    (POLISH, ["cp1250", "cp852"]),
    (TURKISH, ["cp857"]),
    (HEAD + "a,izquierda,1,2,¿dudoso?\nb,derecha,1,2,Muñoz\n", ["cp1252", "mac_roman", "cp850"]),
    (HEAD + "a,L,1,2,Müller 12 m²\n", ["cp1252"]),
    (HEAD + "a,L,1,2,É\n", ["utf-8"]),
]


@pytest.mark.parametrize(("text", "encoding"), [(text, name) for text, names in SURE for name in names])
def test_a_table_is_read_as_it_was_written(text, encoding):
    assert decode(text.encode(encoding), "t.csv")[0] == text


@pytest.mark.parametrize(
    ("text", "encoding", "names"),
    [
        (HEAD + "a,L,1,2,Hélène\n", "cp1252", "Windows-1252 or Windows-1250"),
        (HEAD + "a,L,1,2,Kučera\n", "cp1250", "Windows-1252 or Windows-1250"),
        (HEAD + "a,L,1,2,Köhler\n", "cp850", "Mac Roman or DOS"),
        (HEAD + "a,L,1,2,İbrahim Şahin\n", "cp1254", "Windows-1252 or .*Windows-1254"),
        (HEAD + "a,L,1,2,¿dudoso?\n", "cp1252", "Windows-1252 or"),
        (HEAD + "a,L,1,2,Szőke\n", "cp852", "DOS .* or DOS"),
        (HEAD + "a,L,1,2,Yılmaz\n", "cp857", "Mac Roman or"),
        (HEAD + "a,L,1,2,女\n", "gb18030", "UTF-8 or GB18030"),
        (HEAD + "a,L,1,2,žena\n", "iso8859-2", "Mac Roman or"),
        (HEAD + "a,L,1,2,Иванов\n", "cp1251", "not sure"),
        (HEAD + "a,L,1,2,Παπαδόπουλος\n", "cp1253", "not sure"),
        (HEAD + "a,L,1,2,סמיח\n", "cp1255", "not sure"),
    ],
)
def test_what_may_be_two_things_is_refused_by_name(text, encoding, names):
    with pytest.raises(
        TableError, match=rf'^t.csv: [a-z ]*its letters .*{names}.*\. Save it as "CSV UTF-8" or'
    ) as e:
        decode(text.encode(encoding), "t.csv")
    assert "a,L" not in str(e.value)
    assert decode(text.encode("utf-8-sig"), "t.csv")[0] == text


@pytest.mark.parametrize(
    "data",
    [
        *(b"\x00\x01\x02\x03", b"\x89PNG\r\n\x1a\n\x00\x00", b"\xff\xfe\x00\xd8"),
        *(b"case_id,side\na,L\x1b[0m\n", "a,김철수".encode("iso2022_kr")),
    ],
)
def test_what_is_no_text_is_refused(data):
    with pytest.raises(TableError, match=r"^t.csv: it is no text, or damaged\. Save it"):
        decode(data, "t.csv")


NAMES = {
    "cp932 euc_jp iso2022_jp utf-8 utf-16": "佐々木 斎藤 齋藤 小笠原 宇都宮 東海林 服部 本田 岩崎 菅原 榊原 ヤマダ さとう 浅野 左 右",
    "gb18030 utf-8": "王伟 李娜 张敏 欧阳 司马 徐峥 孙俪 郭德纲 何炅 郑爽 梁朝伟 左 右",
    "big5 utf-8": "林書豪 蔡英文 馬英九 周杰倫 侯孝賢 賴清德 曾雅妮 郭台銘 左 右",
    "cp949 utf-8": "김철수 이영희 최민식 강호동 윤여정 황정민 류준열 홍길동 좌 우",
    "cp1252 mac_roman cp850 utf-8": "Müller Köhler Groß Jäger Özdemir Weiß René Noël Muñoz Núñez Pérez Åberg Bär",
    "cp1252 mac_roman utf-8": "Lefèvre Hélène Benoît Forêt Sørensen Kjær Östlund ÉMILIE João Nicolò Loïc",
    "cp1250 utf-8": "Dvořák Kučera Černý Krčma Łukasz Wójcik Żak Błaszczyk Szőke Kováč Nový",
    "cp1254 utf-8": "Yılmaz Şahin Çelik Öztürk Doğan",
    "cp1251 koi8_r mac_cyrillic cp866": "Иванов Смирнов Попов",
    "cp1253": "Παπαδόπουλος Γιάννης",
    "cp874": "สมชาย วิชัย ซ้าย",
    "cp1255": "כהן לוי",
    "cp1256": "محمد علي",
}
TABLES = [(encoding, names.split()) for encodings, names in NAMES.items() for encoding in encodings.split()]


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(TABLES).flatmap(
        lambda kind: st.tuples(st.just(kind[0]), st.sets(st.sampled_from(kind[1]), min_size=1, max_size=4))
    )
)
def test_no_table_is_garbled(drawn):
    encoding, names = drawn
    text = HEAD + "".join(f"c{row},L,1,2,{name}\n" for row, name in enumerate(sorted(names)))
    try:
        assert decode(text.encode(encoding), "t.csv")[0] == text
    except TableError:
        assert encoding not in ("utf-8", "utf-16", "iso2022_jp")

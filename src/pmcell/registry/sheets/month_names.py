"""Names of the months in the languages of Europe, as dates in submitted tables hold them.

Source: Unicode CLDR (wide and abbreviated names, standing alone and within a date), as carried by
Babel 2.19.0; small letters, accents removed.
"""

from __future__ import annotations

MONTH_NAMES = frozenset(
    """
    abendua abr abrell abril abuztua agost agosto agust agustos aibrean aout apirila apr april
    aprila aprile aprilie aprilis aprill aralık aug august augusta augusti augusts augustus
    augusztus avg avgust avr avril awst awwissu azaroa balandis balandzio bealtaine birzelio
    birzelis brezen brezna cerven cervence cervenec cervna chwefror czerwca czerwiec dec
    decembar december decembra decembre decembrie decembris decembro des desember desembre
    detsember dez dezember dezembro dhjetor dic dicembre dicembru diciembre duben dubna eanair
    ebrill ekaina ekim elokuu elokuuta ene enero eylul feabhra feb febbraio feber febr febreiro
    febrer febrero februar februara februari februarie februaris february fev fevereiro fevr
    fevrier fomhair frar geguze geguzes gener gennaio giugno gorffennaf grudnia grudzien gruodis
    gruodzio gunju gusht haziran heinakuu heinakuuta helmikuu helmikuuta huhtikuu huhtikuuta
    hydref ianuarie ionawr iraila iuil iulie iunie jaanuar jan janar janeiro jannar janner
    januar januara januari january janv janvaris janvier joulukuu joulukuuta juil juillet juin
    jul jula julho juli julij julijs julio juliol julius july jun juna june junho juni junij
    junijs junio junius juny juuli juuni kasım kesakuu kesakuuta kolovoz kolovoza korrik kovas
    kovo kveten kvetna kwiecien kwietnia lapkricio lapkritis leden ledna liepa liepos lipanj
    lipca lipiec lipnja listopad listopada listopadu lokakuu lokakuuta luglio lulju lunasa
    lutego luty maa maaliskuu maaliskuuta maart maerz maggio mai maiatza maig maijs maio maj
    maja majus mar marc marca march marcius marco marec marraskuu marraskuuta mars mart marta
    martie marts martxoa marz marzec marzo marzu mawrth may mayo mayıs medi mee mehefin mei
    meitheamh mejju mrt mrz nentor nisan noiembrie nollaig nov novembar november novembra
    novembre novembris novembro novembru noviembre ocak oct october octobre octombrie octubre
    okt oktobar oktober oktobra oktobris oktoober otsaila ott ottobre ottubru outubro ozujak
    ozujka pazdziernik pazdziernika prill prosinac prosinca prosince prosinec qershor rhagfyr
    rijen rijna rugpjucio rugpjutis rugsejis rugsejo rujan rujna samhain sausio sausis sep sept
    septembar september septembra septembre septembrie septembris septiembre setembre setembro
    settembre settembru shkurt shtator sierpien sierpnia sijecanj sijecnja spalio spalis srpanj
    srpen srpna srpnja studeni studenoga styczen stycznia subat svibanj svibnja syyskuu
    syyskuuta szeptember tachwedd tammikuu tammikuuta temmuz tetor toukokuu toukokuuta travanj
    travnja unor unora urria urtarrila uztaila vasario vasaris veebruar veljaca veljace wrzesien
    wrzesnia xaneiro xullo xuno zari απρ απριλιοσ απριλιου αυγ αυγουστοσ αυγουστου δεκ
    δεκεμβριοσ δεκεμβριου ιαν ιανουαριοσ ιανουαριου ιουλ ιουλιοσ ιουλιου ιουν ιουνιοσ ιουνιου
    μαιοσ μαιου μαρτιοσ μαρτιου νοε νοεμβριοσ νοεμβριου οκτ οκτωβριοσ οκτωβριου σεπ σεπτεμβριοσ
    σεπτεμβριου φεβ φεβρουαριοσ φεβρουαριου авг август августа апр апрель апреля април березень
    березня верасень верасня вересень вересня грудень грудня дек декабрь декабря декември
    жнівень жніуня жовтень жовтня июл июль июля июн июнь июня кастрычнік кастрычніка квітень
    квітня красавік красавіка липень липня листопад листопада лютага лютии лютого люты ліпень
    ліпеня лістапад лістапада маи март марта мая мај ноември нояб ноябрь ноября окт октомври
    октябрь октября сакавік сакавіка сент сентябрь сентября септември серпень серпня снежань
    снежня студзень студзеня січень січня травень травня фев февраль февраля февруари червень
    червня чэрвень чэрвеня юли юни янв январь января януари јануари јули јуни
    """.split()  # noqa: SIM905
)
"""Names, and abbreviations that are hardly another word: enough beside a day or a year."""

MONTH_ABBREVIATIONS = frozenset(
    """
    abe abu ago agu aib api ara aww aza bal beal birz bre chw chwef cvc cvn cze dets dfomh dhj
    dub ean ebr eka eki elo eyl feabh fra geg gen giu gor gorff gru gruod gun gush haz heina
    helmi huhti hyd ian ion ira iul iun jaan joulu kas kesa kol korr kov kve kwi lapkr led liep
    lip lis loka lug lul lun lut maalis mae mag marras maw meh meith mej mfomh nen nis noll oca
    ots out ozu paz pri pro qer rhag rij rugp rugs ruj samh saus set shk sht sie sij spal srp
    stu sty sub svi syys szept tach tammi tem tet touko tra uno urr urt uzt vas veebr velj wrz
    xan xul zar μαι μαρ бер вер груд жні жовт кас квіт кра лип лист лют ліп ліс мар ное сак сеп
    серп сне сту січ трав февр черв чэр яну јан јул јун
    """.split()  # noqa: SIM905
)
"""Abbreviations that may be another word (set, out, gen): a date only beside a year in full."""

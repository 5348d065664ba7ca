"""Words beside which a person's name stands, in six languages: patterns, without groups."""

LABELS = (
    r"signed(?: for and on behalf of [^\n]{1,60})?(?: by)?|contact(?: person)?|attn\.?|attention|"
    r"f\.?a\.?o\.?|care of|c/o|"
    r"(?:prepared|approved|written|reviewed|checked|issued|received|done|drafted|led) by|"
    r"authori[sz]ed by|author|cashier|served by|employee|tenant|landlord|patient|passenger|"
    r"account holder|card ?holder|policy ?holder|managing directors?|director|manager|represented by|"
    r"on behalf of|reported to|"
    r"ansprechpartner(?:in)?|sachbearbeiter(?:in)?|bearbeiter(?:in)?|geschäftsführer(?:in)?|geschäftsführung|"
    r"vertreten durch|z\. ?hd\.?(?: v\.)?|inh(?:aber(?:in)?)?\.?|vorstand|unterzeichner|kontoinhaber|"
    r"gérant(?:e)?|représentée? par|à l['\u2019]attention de|signataire|secrétaire|président(?:e)?|"
    r"a la atención de|representad[oa] por|firmado(?: por)?|fdo\.?|titular|"
    r"c\. ?a\.|alla cortese attenzione di|rappresentat[oa] da|firmato(?: da)?|intestato a|referente|"
    r"t\. ?a\. ?v\.|vertegenwoordigd door|namens|contactpersoon|ondertekend door|"
    r"chief (?:executive|financial|operating|technology) officer|ceo|cfo|cto|president|treasurer|"
    r"chair(?:man|woman)?"
)
BEFORE_COLON = (
    r"by|name|driver|insured|claimant|adjuster|witness|doctor|physician|owner|buyer|seller|secretary|minutes|"
    r"nom|fahrer(?:in)?|eigentümer(?:in)?|(?:ver)?mieter(?:in)?|unterschrift|protokoll|sachverständiger?|"
    r"responsable|contacto|nombre|presidente|conductor|contatto|nome|responsabile|naam|voorzitter|secretaris|notulist"
)
"""Labels that are ordinary words where no colon follows."""
ROLES = (
    r"(?:(?:Managing|Executive|Sales|Operations|Finance|Financial|Technical|Project|Office|General|Chief|Senior|"
    r"Deputy|Account|Plant|Human|Legal|Company)\s){0,2}(?:Director|Manager|Officer|President|Secretary|Treasurer|"
    r"Chair\w*|Partner|Founder|Owner|Head\sof|Engineer\w*|Counsel|Attorney|Consultant|Clerk|Controller|Accountant|"
    r"Solicitor|Nurse|Teacher|CEO|CFO|CTO)"
    r"|Geschäftsführer(?:in)?|Prokurist(?:in)?|Vorstand|Inhaber(?:in)?|Leiter(?:in)?|Rechtsanw[aä]lt(?:in)?|"
    r"Gérante?|[Dd]irecteur|[Dd]irectrice|[Pp]résidente?|[Tt]résori(?:er|ère)|[Ss]ecrétaire|"
    r"[Dd]irectora?|[Gg]erente|[Pp]residente|[Aa]bogad[oa]|[Tt]utora?|[Dd]irettore|[Dd]irettrice|[Aa]mministratore|"
    r"[Dd]irecteur|[Dd]irectrice|[Vv]oorzitter|[Pp]enningmeester|[Bb]edrijfsleider"
)
LISTS = (
    r"present|in attendance|attendees|attending|apologies|absent|participants|"
    r"présente?s?|excusée?s?|absente?s?|participantes?|anwesende?|entschuldigt|teilnehmer(?:innen)?|"
    r"asistentes|ausentes|presenti|assenti|aanwezig(?:en)?|afwezig(?:en)?"
)
CLOSINGS = (
    r"sincerely|faithfully|truly|regards|wishes|grüßen|grüssen|grüße|grüsse|gruß|gruss|cordialement|"
    r"salutations[^\n]{0,30}|amicalement|bien à vous|groet(?:en)?|hoogachtend|"
    r"atentamente|saludos?|distinti saluti|cordiali saluti|saluti|(?:many )?thanks|thank you|cheers|best"
)
SALUTATIONS = (
    r"Dear|Hi|Hello|Liebe[r]?|Hallo|Guten Tag|Guten Morgen|Moin|Chère?|Bonjour|Beste|Lieve|Dag|Geachte|"
    r"Hola|Estimad[oa]|Querid[oa]|Car[oa]|Gentile|Egregio|Ciao"
)
RELATIONS = (
    r"husband|wife|son|daughter|brother|sister|mother|father|neighbour|neighbor|colleague|friend|"
    r"Kolleg(?:e|en|in)|Mitarbeiter(?:in)?|Ehemann|Ehefrau|Sohn|Tochter|Bruder|Schwester|Nachbar(?:in)?|"
    r"collègue|mari|épouse|fils|fille|frère|sœur|voisine?|conseill(?:er|ère)|"
    r"colega|marido|esposa|hij[oa]|herman[oa]|profesora?|collega|marito|moglie|figli[oa]|fratello|sorella|"
    r"tecnico|echtgeno(?:ot|te)|zoon|dochter|broer|zus|buur(?:man|vrouw)"
)
DEEDS = (
    r"worked|works|lives|lived|studied|retires|retired|recalls|recalled|was born|wrote|phoned|told|explained"
)
"""What hardly anything but a person does."""
AND = r"and|und|et|y|e|en|&"

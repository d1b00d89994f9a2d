"""Terms with which a cohort is described in a health data catalogue: code and meaning.

Facts, in our own table. Sources: health categories, Article 51(1) of Regulation (EU) 2025/327, and
health themes, as the name authority lists of HealthDCAT-AP Release 8 have them (DG SANTE); dataset
types, the EU Vocabularies list `dataset-type`; legal bases, purposes and kinds of personal data,
the Data Privacy Vocabulary 2.3 (W3C, https://w3id.org/dpv), of which these are the terms that fit
single-cell cohorts.
"""

from __future__ import annotations

from collections.abc import Mapping

TRANSCRIPTOMIC = "HPML"
"""The category that holds for every cohort pmcell takes: counts of human transcripts."""

HEALTH_CATEGORIES: Mapping[str, str] = {
    "EHRS": "electronic health records",
    "DIOH": "factors impacting on health",
    "NRPE": "aggregated data on healthcare needs, resources, provision and expenditure",
    "RPDG": "pathogens that impact human health",
    "HRAD": "healthcare-related administrative data",
    "HGPD": "human genetic, epigenomic and genomic data",
    "HPML": "other human molecular data, such as proteomic and transcriptomic",
    "PGEH": "data generated automatically by medical devices",
    "WELA": "wellness applications",
    "IDHP": "status and specialisation of health professionals",
    "PHDR": "population-based health registries",
    "MRMR": "medical and mortality registries",
    "EHCT": "clinical trials, studies, investigations and performance studies",
    "EMRD": "other data from medical devices",
    "RMMD": "registries of medicinal products and medical devices",
    "RQSH": "research cohorts, questionnaires and surveys, after first publication",
    "EINS": "biobanks and associated databases",
}

HEALTH_THEMES: Mapping[str, str] = {
    "ANTIMICROBIAL_CONTROL": "antimicrobial resistance and infection control",
    "BLOOD_INFECTIONS": "blood-borne and sexually transmitted infections",
    "CANCER_DISEASE": "cancer",
    "CLIMATE_HEALTH": "climate and planetary health",
    "EMERGENCY_SETTINGS": "emergencies, disasters, travel and humanitarian settings",
    "ENTERIC_INFECTIONS": "enteric, water- and food-borne infections",
    "ENVIRONMENTAL_HEALTH": "environmental, occupational and radiation health",
    "HEALTH_PRODUCTS": "health products, technologies, data and research",
    "HEALTH_SYSTEMS": "health systems, quality, care models and determinants",
    "IMMUNIZATION_DISEASES": "immunization and vaccine-preventable diseases",
    "INJURY_PREVENTION": "injuries, envenoming and drowning",
    "LIFECOURSE_HEALTH": "life-course health: maternal, newborn, child, adolescent and ageing",
    "MENTAL_HEALTH": "mental, neurological and substance use",
    "NONCOMMUNICABLE_DISEASES": "noncommunicable diseases, metabolic and cardiopulmonary",
    "NUTRITION_SECURITY": "nutrition and food security",
    "REPRODUCTIVE_HEALTH": "sexual and reproductive health and rights",
    "RESPIRATORY_DISEASES": "respiratory infectious diseases",
    "SENSORY_HEALTH": "oral, eye and sensory health",
    "TROPICAL_DISEASES": "neglected tropical, parasitic, fungal and skin diseases",
    "VECTOR_DISEASES": "vector-borne, zoonotic and viral diseases",
}

DATASET_TYPES: Mapping[str, str] = {
    "STATISTICAL": "Statistical data",
    "SYNTHETIC_DATA": "Synthetic data",
    "TEST_DATA": "Test data",
}

LEGAL_BASES: Mapping[str, str] = {
    "eu-gdpr:A6-1-a": "Art.6(1-a) consent",
    "eu-gdpr:A6-1-c": "Art 6(1-c) legal obligation",
    "eu-gdpr:A6-1-d": "Art 6(1-d) protect vital interests",
    "eu-gdpr:A6-1-e": "Art 6(1-e) public interest or official authority",
    "eu-gdpr:A6-1-f": "Art 6(1-f) legitimate interest",
    "eu-gdpr:A9-2-a": "Art 9(2-a) explicit consent",
    "eu-gdpr:A9-2-e": "Art 9(2-e) data made public",
    "eu-gdpr:A9-2-g": "Art 9(2-g) public interest",
    "eu-gdpr:A9-2-h": "Art 9(2-h) health & medicine",
    "eu-gdpr:A9-2-i": "Art 9(2-i) public interest in public health",
    "eu-gdpr:A9-2-j": "Art 9(2-j) public interest, scientific research, statistical purpose",
}

PURPOSES: Mapping[str, str] = {
    "eu-ehds:HealthcareScientificResearch": "Healthcare Scientific Research",
    "eu-ehds:DevelopPublicHealthProductsAndServices": "Develop Public Health Products and Services",
    "eu-ehds:TrainTestAndEvaluateHealthAlgorithms": (
        "Train, Test and Evaluate Health-related Algorithms"
    ),
    "eu-ehds:TrainTestAndEvaluateAISystemsAlgorithms": (
        "Train, Test and Evaluate AI Systems Algorithms"
    ),
    "eu-ehds:ImproveHealthcare": "Improve Healthcare",
    "eu-ehds:ImproveHealthcareEducation": "Improve Healthcare Education",
    "eu-ehds:PublicHealthSurveillance": "Public Health Surveillance",
    "eu-ehds:PublicInterestRelatedToHealth": "Public Interest related to Health",
    "eu-ehds:PublicPolicyMaking": "Public Policy Making",
    "eu-ehds:ProvideHealthcareOfficialStatistics": "Provide Healthcare Official Statistics",
}

PERSONAL_DATA: Mapping[str, str] = {
    "pd:Age": "Age",
    "pd:AgeRange": "Age Range",
    "pd:BirthDate": "Birth Date",
    "pd:DNACode": "DNA Code",
    "pd:Demographic": "Demographic",
    "pd:Ethnicity": "Ethnicity",
    "pd:EthnicOrigin": "Ethnic Origin",
    "pd:FamilyHealthHistory": "Family Health History",
    "pd:Gender": "Gender",
    "pd:Genetic": "Genetic",
    "pd:Geographic": "Geographic",
    "pd:Health": "Health",
    "pd:HealthHistory": "Health History",
    "pd:HealthRecord": "Health Record",
    "pd:MedicalHealth": "Medical Health",
    "pd:MentalHealth": "Mental Health",
    "pd:PhysicalCharacteristic": "Physical Characteristic",
    "pd:Prescription": "Prescription",
}

LABELS: Mapping[str, Mapping[str, str]] = {
    "health_categories": HEALTH_CATEGORIES,
    "health_themes": HEALTH_THEMES,
    "dataset_type": DATASET_TYPES,
    "legal_basis_terms": LEGAL_BASES,
    "purpose_terms": PURPOSES,
    "personal_data": PERSONAL_DATA,
}
"""Meaning of each code, by the key of cohort.yaml that takes it."""
